//! NumPy files of `f32` or `f64`, with their type known only when they are read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use convgemm::Element;
use convgemm_protocol::Dtype;
use ndarray::{ArrayBase, ArrayD, Data, Dimension, ShapeBuilder};
use ndarray_npy::npy::header::Header;
use ndarray_npy::{ReadableElement, WritableElement, WriteNpyExt};

use crate::atomic::Output;

/// An element that NumPy files can hold.
pub trait Scalar: Element + ReadableElement + WritableElement {
    /// The array, if it has this type.
    fn unwrap(tensor: AnyArray) -> Option<ArrayD<Self>>;
}

impl Scalar for f32 {
    fn unwrap(tensor: AnyArray) -> Option<ArrayD<Self>> {
        if let AnyArray::F32(array) = tensor { Some(array) } else { None }
    }
}

impl Scalar for f64 {
    fn unwrap(tensor: AnyArray) -> Option<ArrayD<Self>> {
        if let AnyArray::F64(array) = tensor { Some(array) } else { None }
    }
}

/// An array of either type.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyArray {
    /// Single precision.
    F32(ArrayD<f32>),
    /// Double precision.
    F64(ArrayD<f64>),
}

impl AnyArray {
    /// Reads a file of one of the two types, in either byte order and memory order.
    ///
    /// # Errors
    /// A file that is not there, not whole, not a NumPy file, or of another type.
    pub fn read(path: &Path) -> Result<Self> {
        read_any(path).with_context(|| path.display().to_string())
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
        }
    }

    /// Its lengths.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32(array) => array.shape(),
            Self::F64(array) => array.shape(),
        }
    }

    /// The array in double precision.
    pub fn into_f64(self) -> ArrayD<f64> {
        match self {
            Self::F32(array) => array.mapv(f64::from),
            Self::F64(array) => array,
        }
    }
}

/// Whether a file is called as arrays are. Archives of them cannot be used, but reading one says why.
pub fn is_array(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["npy", "npz"].iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

fn read_any(path: &Path) -> Result<AnyArray> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    let mut reader = BufReader::new(file);
    let is_archive = reader.fill_buf().is_ok_and(|begin| begin.starts_with(b"PK"));
    ensure!(!is_archive, "an archive of arrays (.npz), where a single one is needed (.npy, as numpy.save writes it)");
    let header =
        Header::from_reader(&mut reader).map_err(|error| anyhow!("not a NumPy file, or a damaged one: {error}"))?;
    let descriptor = header.type_descriptor.to_string();
    let size: u64 = match descriptor.trim_matches('\'') {
        "<f4" | ">f4" => 4,
        "<f8" | ">f8" => 8,
        _ => bail!("its elements are of type {descriptor}; f32 ('<f4') and f64 ('<f8') are possible"),
    };
    // Before memory is asked for on the word of a header.
    let needed = header.shape.iter().try_fold(size, |bytes, &n| bytes.checked_mul(n as u64));
    if found.is_file() && needed.is_none_or(|needed| needed > found.len()) {
        bail!("damaged: its header tells of shape {:?}, more than the file holds", header.shape);
    }
    Ok(if size == 4 { AnyArray::F32(read_data(&header, reader)?) } else { AnyArray::F64(read_data(&header, reader)?) })
}

fn read_data<T: Scalar>(header: &Header, reader: impl Read) -> Result<ArrayD<T>> {
    let len = header.shape.iter().try_fold(1_usize, |len, &n| len.checked_mul(n)).context("its size overflows")?;
    let data =
        T::read_to_end_exact_vec(reader, &header.type_descriptor, len).map_err(|error| anyhow!("damaged: {error}"))?;
    let shape = header.shape.clone().set_f(header.layout.is_fortran());
    Ok(ArrayD::from_shape_vec(shape, data)?)
}

/// Writes `array` to a file opened before.
///
/// # Errors
/// What the file system says.
pub fn write<T: Scalar, S: Data<Elem = T>, D: Dimension>(output: Output, array: &ArrayBase<S, D>) -> Result<()> {
    output.write(|writer| Ok(array.write_npy(writer)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, IxDyn};

    #[test]
    fn arrays_of_one_to_five_axes_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        for axes in 1..=5 {
            let shape: Vec<usize> = (1..=axes).collect();
            let array = Array::from_shape_fn(IxDyn(&shape), |i| i.slice().iter().sum::<usize>() as f32 / 3.0);
            write(Output::create(&path).unwrap(), &array).unwrap();
            assert_eq!(AnyArray::read(&path).unwrap(), AnyArray::F32(array.clone()));
            let array = array.mapv(f64::from);
            write(Output::create(&path).unwrap(), &array).unwrap();
            assert_eq!(AnyArray::read(&path).unwrap(), AnyArray::F64(array));
        }
    }

    #[test]
    fn memory_order_does_not_change_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let standard = Array::from_shape_fn((2, 3, 4), |(a, b, c)| (a * 100 + b * 10 + c) as f64);
        let mut fortran = Array::zeros((2, 3, 4).f());
        fortran.assign(&standard);
        let mut stepped = standard.view();
        stepped.invert_axis(ndarray::Axis(1));
        for (written, expected) in [(fortran.view(), standard.view()), (stepped, stepped)] {
            write(Output::create(&path).unwrap(), &written).unwrap();
            assert_eq!(AnyArray::read(&path).unwrap().into_f64(), expected.into_dyn());
        }
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_takes_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        for shape in ["(1000000000000,)", "(4611686018427387904, 4)"] {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
            file.extend(format!("{text:<117}\n").bytes());
            file.extend([0; 64]);
            std::fs::write(&path, file).unwrap();
            let error = format!("{:#}", AnyArray::read(&path).unwrap_err());
            assert!(error.contains("more than the file holds"), "{error}");
        }
    }
}
