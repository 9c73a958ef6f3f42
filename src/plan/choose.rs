//! Which algorithm, and why: a function of shapes and options alone.

use crate::error::{Error, Result};
use crate::gemm::Backend;
use crate::geometry::ConvGeometry;
use crate::lowering::{Algorithm, Pass, packed_geometry};

/// An algorithm and the reason for it. The algorithm is never `Auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub algorithm: Algorithm,
    pub reason: &'static str,
}

/// Below so many multiplications a group, the calls around a dense product cost more than the loops.
/// Set where `Direct` and `Im2colTiled` cross on 3×3 kernels over small pictures.
const TINY_PRODUCT: usize = 1 << 10;

/// A dense product whose shorter side is at most this leaves most lanes of its kernel empty: there
/// `Direct`, which streams along rows, is faster. Set on depthwise and few-channel layers at 56×56.
const THIN_SIDE: usize = 2;

/// Chooses for `pass` over `geometry`, or checks the algorithm that was asked for. Where the caller names a
/// backend, an algorithm is chosen that uses it.
///
/// # Errors
/// [`Error::Unsupported`] if the algorithm that was named cannot do it.
pub(crate) fn choose(geometry: &ConvGeometry, pass: Pass, asked: Algorithm, backend: Backend) -> Result<Choice> {
    let g = geometry;
    match asked {
        Algorithm::Auto => {}
        Algorithm::Pointwise if !g.is_pointwise() => {
            let reason = "it needs a kernel of one cell, stride 1 and no padding";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        Algorithm::Fused if packed_geometry(g, pass, asked).is_none() => {
            let reason = "it computes forward passes, and input gradients of stride 1 with zeros for padding";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        Algorithm::WinogradF2 | Algorithm::WinogradF4 if packed_geometry(g, pass, asked).is_none() => {
            let reason = "it computes forward passes and input gradients of 3×3 kernels, stride and dilation 1";
            return Err(Error::Unsupported { algorithm: asked.name(), reason });
        }
        _ => return Ok(Choice { algorithm: asked, reason: "asked for by name" }),
    }
    let product = g.group_out_channels().saturating_mul(g.patch_rows()).saturating_mul(g.windows());
    let thin = match pass {
        Pass::Forward | Pass::InputGrad => g.group_out_channels().min(g.group_in_channels()),
        Pass::WeightGrad => g.group_out_channels().min(g.patch_rows()),
    };
    let (algorithm, reason) = if product <= TINY_PRODUCT {
        (Algorithm::Direct, "so few multiplications that packing for a dense product would cost more")
    } else if thin <= THIN_SIDE {
        (Algorithm::Direct, "a kernel sees or feeds so few channels that a dense product would run half empty")
    } else if packed_geometry(g, pass, Algorithm::Fused).is_some() && backend == Backend::Auto {
        (Algorithm::Fused, "the patch matrix is packed for the microkernel, straight from the image")
    } else if g.is_pointwise() {
        (Algorithm::Pointwise, "the kernel has one cell and moves by one: the input is the patch matrix")
    } else {
        (Algorithm::Im2colTiled, "the patch matrix by tiles that stay in the cache, with a dense product on each")
    };
    Ok(Choice { algorithm, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConvOptions;

    fn auto(input: [usize; 4], weight: [usize; 4], options: ConvOptions<2>) -> Algorithm {
        let geometry = options.geometry(&input, &weight).unwrap();
        choose(&geometry, Pass::Forward, Algorithm::Auto, Backend::Auto).unwrap().algorithm
    }

    #[test]
    fn each_kind_of_layer_gets_its_algorithm() {
        let plain = ConvOptions::new();
        assert_eq!(auto([1, 64, 56, 56], [64, 64, 3, 3], plain), Algorithm::Fused);
        assert_eq!(auto([1, 64, 56, 56], [256, 64, 1, 1], plain), Algorithm::Fused);
        assert_eq!(auto([1, 32, 56, 56], [32, 1, 3, 3], plain.groups(32)), Algorithm::Direct);
        assert_eq!(auto([1, 1, 3, 3], [1, 1, 2, 2], plain), Algorithm::Direct);
    }

    #[test]
    fn a_named_backend_is_used() {
        let chosen = |weight: [usize; 4]| {
            let geometry = ConvOptions::<2>::new().geometry(&[1, 64, 56, 56], &weight).unwrap();
            choose(&geometry, Pass::Forward, Algorithm::Auto, Backend::Gemm).unwrap().algorithm
        };
        assert_eq!(chosen([64, 64, 3, 3]), Algorithm::Im2colTiled);
        assert_eq!(chosen([64, 64, 1, 1]), Algorithm::Pointwise);
    }

    #[test]
    fn pointwise_is_refused_where_it_would_be_wrong() {
        let geometry = ConvOptions::<2>::new().geometry(&[1, 1, 3, 3], &[1, 1, 2, 2]).unwrap();
        assert!(choose(&geometry, Pass::Forward, Algorithm::Pointwise, Backend::Auto).is_err());
    }
}
