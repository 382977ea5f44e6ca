"""Small files of images in the format of MNIST's."""

import gzip

import numpy as np

IMAGES_NAME = "train-images-idx3-ubyte"
TRAIN, TEST = 600, 100


def idx(magic, array):
    """The bytes of an array in the IDX format."""
    header = np.array([magic, *array.shape], ">i4").tobytes()
    return header + array.astype("uint8").tobytes()


def digits(count, seed):
    """Images that tell their label: its row alone is bright."""
    labels = np.random.default_rng(seed).integers(0, 10, count)
    images = np.zeros((count, 28, 28))
    images[np.arange(count), 2 * labels + 4] = 250
    return images, labels


def contents(part, images, labels):
    """The contents of the two files of a part, by their names."""
    return {
        f"{part}-images-idx3-ubyte": idx(2051, images),
        f"{part}-labels-idx1-ubyte.gz": gzip.compress(idx(2049, labels)),
    }


def write(folder):
    """Writes the four files to a folder."""
    for part, count, seed in (("train", TRAIN, 0), ("t10k", TEST, 1)):
        for name, content in contents(part, *digits(count, seed)).items():
            (folder / name).write_bytes(content)
