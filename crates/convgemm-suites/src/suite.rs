//! Suites: named lists of layers, read from text that is part of the program.

use crate::layer::Layer;

/// The distinct convolutions of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Its layers in the network's order.
    pub layers: Vec<SuiteLayer>,
}

/// A layer of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteLayer {
    /// Its name in the suite.
    pub name: &'static str,
    /// How often the network has it.
    pub count: usize,
    /// The layer.
    pub layer: Layer,
}

/// A line `# what it is`, then a layer a line: count, name, notation.
const TEXTS: [(&str, &str); 9] = [
    ("resnet50", include_str!("../suites/resnet50.txt")),
    ("vgg16", include_str!("../suites/vgg16.txt")),
    ("alexnet", include_str!("../suites/alexnet.txt")),
    ("mobilenetv1", include_str!("../suites/mobilenetv1.txt")),
    ("convnext-t", include_str!("../suites/convnext-t.txt")),
    ("unet", include_str!("../suites/unet.txt")),
    ("deepbench", include_str!("../suites/deepbench.txt")),
    ("wavenet", include_str!("../suites/wavenet.txt")),
    ("video3d", include_str!("../suites/video3d.txt")),
];

impl Suite {
    /// The names of all suites.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TEXTS.iter().map(|&(name, _)| name)
    }

    /// The suite of this name.
    pub fn named(name: &str) -> Option<Self> {
        let &(name, text) = TEXTS.iter().find(|(found, _)| *found == name)?;
        let (about, layers) = text.split_once('\n')?;
        let about = about.trim_start_matches(['#', ' ']);
        Some(Self { name, about, layers: layers.lines().map(SuiteLayer::read).collect::<Option<_>>()? })
    }

    /// Every suite.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::names().filter_map(Self::named)
    }

    /// Floating-point operations of all its layers, each as often as the network has it.
    pub fn flops(&self, batch: usize) -> f64 {
        self.layers.iter().map(|entry| entry.count as f64 * entry.layer.flops(batch)).sum()
    }
}

impl SuiteLayer {
    fn read(line: &'static str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (count, name, layer) = (words.next()?, words.next()?, words.next()?);
        Some(Self { name, count: count.parse().ok()?, layer: layer.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Multiplications of a suite at batch 1, in millions.
    fn millions(name: &str) -> f64 {
        Suite::named(name).unwrap().flops(1) / 2e6
    }

    #[test]
    fn every_suite_can_be_read_and_has_distinct_layers_in_distinct_names() {
        for (suite, (name, text)) in Suite::all().zip(TEXTS) {
            assert_eq!((suite.name, suite.layers.len()), (name, text.lines().count() - 1));
            let (mut names, mut layers) = (HashSet::new(), HashSet::new());
            for entry in &suite.layers {
                assert!(names.insert(entry.name) && layers.insert(&entry.layer), "{name}: {entry:?}");
            }
        }
        assert_eq!(Suite::all().count(), TEXTS.len());
        assert_eq!(Suite::named("resnet51"), None);
    }

    #[test]
    fn the_networks_have_the_operations_that_are_published_for_them() {
        // Published multiplications with the classifier, less those of the classifier.
        for (name, published, classifier) in [
            ("resnet50", 4_089.0, 2.0),
            ("vgg16", 15_470.0, 123.6),
            ("alexnet", 714.2, 58.6),
            ("mobilenetv1", 569.0, 1.0),
            ("convnext-t", 4_456.0, 0.8),
        ] {
            let expected = published - classifier;
            assert!((millions(name) / expected - 1.0).abs() < 0.002, "{name}: {} for {expected}", millions(name));
        }
    }

    #[test]
    fn the_networks_have_the_numbers_of_convolutions_that_are_published_for_them() {
        let convolutions = |name| Suite::named(name).unwrap().layers.iter().map(|layer| layer.count).sum::<usize>();
        let counts = ["resnet50", "vgg16", "alexnet", "mobilenetv1", "unet"].map(convolutions);
        assert_eq!(counts, [53, 13, 5, 27, 19]);
    }

    #[test]
    fn each_layer_of_u_net_feeds_the_next_of_its_level() {
        let suite = Suite::named("unet").unwrap();
        for pair in suite.layers.chunks_exact(2) {
            assert_eq!(pair[0].layer.output_shape(1), pair[1].layer.input_shape(1), "{}", pair[0].name);
        }
    }
}
