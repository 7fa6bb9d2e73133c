"""Datasets, batches and augmentations."""

import numpy as np
import pytest

from tinytorch.core.dataloader import Compose, DataLoader, Dataset, RandomCrop, RandomHorizontalFlip, TensorDataset
from tinytorch.core.tensor import Tensor


@pytest.fixture
def dataset():
    """Return seven samples whose label is ten times their index."""
    return TensorDataset(Tensor(np.arange(14).reshape(7, 2)), Tensor(np.arange(7) * 10))


def test_dataset_is_abstract():
    """A dataset must say its length and its samples."""
    with pytest.raises(TypeError):
        Dataset()


def test_tensor_dataset_pairs_rows(dataset):
    """Sample i is row i of every tensor."""
    features, label = dataset[3]
    assert len(dataset) == 7
    np.testing.assert_array_equal(features.data, [6, 7])
    assert float(label.data) == 30


@pytest.mark.parametrize("index", [7, -1, 100])
def test_tensor_dataset_refuses_positions_out_of_range(dataset, index):
    """Negative ones included."""
    with pytest.raises(IndexError, match="0 to 6"):
        dataset[index]


def test_tensor_dataset_needs_tensors():
    """Arrays are to be wrapped."""
    with pytest.raises(TypeError, match="needs Tensors, but got Tensor, ndarray"):
        TensorDataset(Tensor([1.0]), np.ones(1))


def test_tensor_dataset_needs_equal_lengths():
    """Both shapes are named."""
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(4,\)"):
        TensorDataset(Tensor(np.ones((3, 2))), Tensor(np.ones(4)))
    with pytest.raises(ValueError, match="at least one"):
        TensorDataset()


def test_batches_in_order(dataset):
    """Ceil(n / size) batches, the last one smaller."""
    loader = DataLoader(dataset, batch_size=3)
    shapes = [(x.shape, y.shape) for x, y in loader]
    assert len(loader) == 3
    assert shapes == [((3, 2), (3,)), ((3, 2), (3,)), ((1, 2), (1,))]


def test_shuffling_keeps_pairs_and_follows_the_seed(dataset):
    """Every sample once a pass, features with their label, the same order under the same seed."""
    orders = []
    for _ in range(2):
        np.random.seed(4)
        orders.append([float(v) for _, y in DataLoader(dataset, 2, shuffle=True) for v in y.data])
        for x, y in DataLoader(dataset, 2, shuffle=True):
            np.testing.assert_array_equal(x.data[:, 0] * 5, y.data)
    assert orders[0] == orders[1] != sorted(orders[0])
    assert sorted(orders[0]) == [10.0 * i for i in range(7)]


def test_batches_of_a_dataset_of_ones_own():
    """Samples of arrays and numbers are stacked to tensors."""

    class Squares(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, idx):
            return np.array([idx, idx]), idx * idx

    batches = list(DataLoader(Squares(), 2))
    assert [type(part) for part in batches[0]] == [Tensor, Tensor]
    np.testing.assert_array_equal(batches[0][1].data, [0, 1])
    assert batches[1][0].shape == (1, 2)


def test_a_batch_holds_something(dataset):
    """A batch size below one is refused."""
    with pytest.raises(ValueError, match="batch_size is 0"):
        DataLoader(dataset, 0)


@pytest.mark.parametrize(("shape", "axis"), [((3, 4, 5), 2), ((8, 6, 3), 1), ((6, 5), 1), ((2, 3, 4, 5), 3)])
def test_flip_mirrors_the_width(shape, axis):
    """CHW, HWC, HW and NCHW images, as arrays or tensors."""
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(RandomHorizontalFlip(1.0)(x), np.flip(x, axis))
    np.testing.assert_array_equal(RandomHorizontalFlip(1.0)(Tensor(x)).data, np.flip(x, axis))
    assert RandomHorizontalFlip(0.0)(x) is x
    with pytest.raises(ValueError, match="between 0 and 1"):
        RandomHorizontalFlip(1.5)


@pytest.mark.parametrize(
    ("shape", "size", "out"),
    [((3, 8, 8), 8, (3, 8, 8)), ((8, 8, 5), (6, 7), (6, 7, 5)), ((8, 8), 4, (4, 4)), ((1, 5, 9), (5, 9), (1, 5, 9))],
)
def test_crop_cuts_windows_of_the_padded_image(shape, size, out):
    """The result has the size asked for and only values of the image or zeros."""
    x = np.random.default_rng(0).uniform(1, 2, size=shape).astype(np.float32)
    cut = RandomCrop(size, padding=2)(x)
    assert cut.shape == out
    assert set(np.unique(cut)) <= {np.float32(0), *np.unique(x)}
    assert RandomCrop(size)(Tensor(x)).shape == out


def test_crop_without_room_to_move_is_the_image():
    """With no padding and the image's own size nothing changes."""
    x = Tensor(np.arange(16).reshape(1, 4, 4))
    np.testing.assert_array_equal(RandomCrop(4, padding=0)(x).data, x.data)
    with pytest.raises(ValueError, match=r"\(9, 9\).*\(1, 4, 4\)"):
        RandomCrop(9, padding=0)(x)
    with pytest.raises(ValueError, match="2 or 3 axes"):
        RandomCrop(2)(Tensor(np.ones((1, 1, 4, 4))))


def test_compose_applies_in_order():
    """Each transformation gets the result of the one before."""
    assert Compose([lambda x: x + 1, lambda x: x * 10])(2) == 30
