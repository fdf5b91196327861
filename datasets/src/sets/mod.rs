//! The data sets, one file each.

pub(crate) mod cifar10;
pub(crate) mod cifar100;
pub(crate) mod fashion_mnist;
pub(crate) mod fashion_mnist_mini;
pub(crate) mod imagenet;
pub(crate) mod synth;
