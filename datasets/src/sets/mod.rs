//! The data sets, one file each.

pub(crate) mod cifar10;
pub(crate) mod fashion_mnist;
pub(crate) mod fashion_mnist_mini;
