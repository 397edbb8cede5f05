"""Data sets and DataLoader: order, batches, seeds, and a thread that always ends."""

import collections
import threading
import time

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.utils import data

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.arange(10) * 10


def tensors():
    return data.TensorDataset(mg.tensor(X), mg.tensor(Y))


class Squares(data.Dataset):
    """Item i is (i, i^2); keeps a record of what was read, and where."""

    def __init__(self, n):
        self.n, self.read = n, []

    def __getitem__(self, index):
        self.read.append((index, threading.current_thread().name))
        return index, float(index) ** 2

    def __len__(self):
        return self.n


def numbers(loader):
    return [batch[1].tolist() for batch in loader]


def alive():
    return sum(thread.name == "minigrad-data" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert alive() == 0


# -- data sets -----------------------------------------------------------------------------------


def test_tensor_dataset_subset_concat():
    whole = tensors()
    assert len(whole) == 10
    x, y = whole[3]
    assert x.tolist() == [6.0, 7.0] and y.item() == 30
    part = data.Subset(whole, [4, 2, -1])
    assert len(part) == 3 and [part[i][1].item() for i in range(3)] == [40, 20, 90]
    both = part + whole
    assert isinstance(both, data.ConcatDataset) and len(both) == 13
    assert [both[i][1].item() for i in (0, 2, 3, 12, -1, -13)] == [40, 90, 0, 90, 90, 40]
    for index in (13, -14):
        with pytest.raises(IndexError, match=f"index {index} is out of range for 13 items"):
            both[index]


@pytest.mark.parametrize("lengths", [[7, 3], [10], [0, 10], [0.33, 0.33, 0.34], [0.5, 0.5], [1.0]])
def test_random_split_as_pytorch(lengths):
    mg.manual_seed(0)
    parts = data.random_split(tensors(), lengths)
    theirs = torch.utils.data.random_split(range(10), lengths)
    assert [len(part) for part in parts] == [len(part) for part in theirs]
    drawn = [int(i) for part in parts for i in part.indices]
    assert sorted(drawn) == list(range(10)) and drawn != list(range(10))
    mg.manual_seed(0)
    again = data.random_split(tensors(), lengths)
    assert [int(i) for part in again for i in part.indices] == drawn
    one, two = (
        data.random_split(range(10), lengths, generator=np.random.default_rng(1)) for _ in "12"
    )
    assert [p.indices.tolist() for p in one] == [p.indices.tolist() for p in two]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: data.TensorDataset(mg.ones(2), mg.ones(3)), ValueError, "Size mismatch"),
        (lambda: data.ConcatDataset([]), ValueError, "should not be an empty iterable"),
        (lambda: data.random_split(range(3), [1, 1]), ValueError, "Sum of input lengths"),
        (lambda: data.random_split(range(3), [0.5, 0.7]), ValueError, "Sum of input lengths"),
        (lambda: data.Dataset()[0], NotImplementedError, "Dataset does not define __getitem__"),
        (lambda: len(data.Dataset()), TypeError, "Dataset does not define __len__"),
        (lambda: data.DataLoader([1], batch_size=0), ValueError, "positive integer .*batch_size=0"),
        (lambda: data.DataLoader([1], batch_size=2.5), ValueError, "batch_size=2.5"),
        (lambda: data.DataLoader([1], num_workers=-1), ValueError, "should be non-negative"),
        (lambda: data.DataLoader([1], shuffle=True, sampler=[0]), ValueError, "mutually exclusive"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


# -- collate -------------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")
ITEMS = {
    "tensors": lambda lib: [lib.ones(2), lib.zeros(2)],
    "arrays": lambda lib: [np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)],
    "scalars": lambda lib: [np.int64(3), np.int64(4)],
    "ints": lambda lib: [1, 2, 3],
    "floats": lambda lib: [1.5, 2.0],
    "strings": lambda lib: ["a", "b"],
    "tuples": lambda lib: [(lib.ones(1), 2), (lib.zeros(1), 3)],
    "lists": lambda lib: [[1.0, "a"], [2.0, "b"]],
    "dicts": lambda lib: [{"x": 1, "y": np.float32(2)}, {"x": 3, "y": np.float32(4)}],
    "named": lambda lib: [Point(1, 2.0), Point(3, 4.0)],
    "nested": lambda lib: [(1, {"a": (2, 3.0)}), (4, {"a": (5, 6.0)})],
}


def plain(batch):
    """Structure, values and dtypes, whichever library made the batch."""
    if hasattr(batch, "tolist"):
        return str(batch.dtype).removeprefix("torch."), batch.tolist()
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return type(batch).__name__, [plain(value) for value in batch]
    return batch


@pytest.mark.parametrize("items", ITEMS.values(), ids=ITEMS)
def test_default_collate_as_pytorch(items):
    ours = data.default_collate(items(mg))
    assert plain(ours) == plain(torch.utils.data.default_collate(items(torch)))


def test_default_collate_of_bools():
    batch = data.default_collate([True, False])
    assert batch.dtype == mg.bool and batch.tolist() == [True, False]


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ([object()], TypeError, "must contain tensors, numpy arrays, .* found <class 'object'>"),
        ([None], TypeError, "NoneType"),
        ([(1, 2), (3,)], RuntimeError, "equal size"),
    ],
)
def test_default_collate_errors(batch, error, message):
    with pytest.raises(error, match=message):
        data.default_collate(batch)


# -- DataLoader ----------------------------------------------------------------------------------

WORKERS = pytest.mark.parametrize("num_workers", [0, 1, 4])


@WORKERS
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 12])
def test_batches_in_order(batch_size, drop_last, num_workers):
    options = {"batch_size": batch_size, "drop_last": drop_last}
    loader = data.DataLoader(Squares(10), num_workers=num_workers, **options)
    theirs = torch.utils.data.DataLoader(Squares(10), **options)
    expected = [[part.tolist() for part in batch] for batch in theirs]
    for _ in range(2):  # two epochs
        assert [[part.tolist() for part in batch] for batch in loader] == expected
    assert len(loader) == len(theirs) == len(expected)


@WORKERS
def test_shuffled_from_the_seed(num_workers):
    loader = data.DataLoader(Squares(50), 7, shuffle=True, num_workers=num_workers)
    mg.manual_seed(4)
    epochs = [numbers(loader), numbers(loader)]
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        assert sorted(sum(epoch, [])) == [float(i * i) for i in range(50)]
    mg.manual_seed(4)
    assert [numbers(loader), numbers(loader)] == epochs


def test_one_permutation_an_epoch_is_all_that_is_drawn():
    loader = data.DataLoader(Squares(50), 7, shuffle=True, num_workers=1)
    mg.manual_seed(4)
    for _ in loader:
        pass
    after = mg.get_rng_state()
    mg.manual_seed(4)
    mg.backend.generator("cpu").permutation(50)
    assert mg.get_rng_state() == after
    iter(loader)  # the order is drawn at once, by the caller
    assert mg.get_rng_state() != after
    before = mg.get_rng_state()
    numbers(data.DataLoader(Squares(50), 7, shuffle=True, generator=np.random.default_rng(0)))
    numbers(data.DataLoader(Squares(50), 7))
    assert mg.get_rng_state() == before


def test_sampler_and_collate_fn():
    loader = data.DataLoader(Squares(9), 2, sampler=[8, 1, 1, 5, 0], collate_fn=list, num_workers=1)
    assert list(loader) == [[(8, 64.0), (1, 1.0)], [(1, 1.0), (5, 25.0)], [(0, 0.0)]]
    assert len(loader) == 3


def test_plain_sequences_are_data_sets():
    assert [b.tolist() for b in data.DataLoader([1, 2, 3], 2)] == [[1, 2], [3]]
    assert list(data.DataLoader([], 2)) == []
    assert list(data.DataLoader([], 2, shuffle=True, num_workers=1)) == []


# -- the fast path -------------------------------------------------------------------------------


class CountingDataset(data.TensorDataset):
    """A TensorDataset that changes its items: reading whole batches would skip the change."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, y + 1


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: d,
        lambda d: data.Subset(d, [9, 3, 3, 0, 7]),
        lambda d: data.Subset(data.Subset(d, range(2, 9)), np.array([0, 6, 1])),
    ],
)
def test_fast_path_gives_the_same_batches(wrap):
    def batches(dataset, **options):
        return [
            [(part.dtype, part.tolist()) for part in batch]
            for batch in data.DataLoader(dataset, 2, **options)
        ]

    fast = wrap(tensors())
    assert batches(fast) == batches(fast, collate_fn=data.default_collate)
    changed = batches(wrap(CountingDataset(mg.tensor(X), mg.tensor(Y))))
    assert [[y + 1 for y in b[1][1]] for b in batches(fast)] == [b[1][1] for b in changed]


def test_fast_path_does_not_read_items(monkeypatch):
    def refuse(self, index):
        raise AssertionError("an item was read by itself")

    dataset = data.Subset(tensors(), [1, 2, 3])
    monkeypatch.setattr(data.Subset, "__getitem__", refuse)
    monkeypatch.setattr(data.TensorDataset, "__getitem__", refuse)
    assert numbers(data.DataLoader(dataset, 2)) == [[10, 20], [30]]


def test_batches_do_not_share_memory_with_the_data_set():
    dataset = tensors()
    for batch in data.DataLoader(dataset, 10):
        assert not np.shares_memory(batch[0].numpy(), dataset.tensors[0].numpy())


# -- the thread ----------------------------------------------------------------------------------


def test_items_are_read_where_they_should_be():
    for num_workers, expected in ((0, threading.current_thread().name), (2, "minigrad-data")):
        dataset = Squares(6)
        list(data.DataLoader(dataset, 2, num_workers=num_workers))
        assert [index for index, _ in dataset.read] == list(range(6))
        assert {name for _, name in dataset.read} == {expected}


def test_the_thread_works_ahead_but_not_far():
    dataset = Squares(100)
    batches = iter(data.DataLoader(dataset, 1, num_workers=1))
    next(batches)
    deadline = time.monotonic() + 5
    while len(dataset.read) < 1 + data.dataloader.PREFETCHED and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)  # time enough to run away
    assert len(dataset.read) == 1 + data.dataloader.PREFETCHED
    batches.close()


class Broken(Squares):
    def __getitem__(self, index):
        if index == 4:
            raise OSError("item 4 cannot be read")
        return super().__getitem__(index)


@WORKERS
def test_an_error_reaches_the_caller_after_the_good_batches(num_workers):
    batches = iter(data.DataLoader(Broken(9), 2, num_workers=num_workers))
    assert [next(batches)[0].tolist(), next(batches)[0].tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="item 4 cannot be read") as caught:
        next(batches)
    assert any(entry.name == "__getitem__" for entry in caught.traceback)


def test_leaving_the_loop_early_ends_the_thread():
    loader = data.DataLoader(Squares(1000), 1, num_workers=1)
    for i, _ in enumerate(loader):
        assert alive() == 1
        if i == 3:
            break
    assert alive() == 0
    with pytest.raises(KeyError, match="mine"):
        for _ in loader:
            raise KeyError("mine")
    batches = iter(loader)
    next(batches)
    assert alive() == 1
    del batches
    assert alive() == 0


def test_an_iterator_that_is_never_used_starts_no_thread():
    batches = iter(data.DataLoader(Squares(10), 1, num_workers=1))
    assert alive() == 0
    assert len(list(batches)) == 10


def test_two_epochs_at_once():
    loader = data.DataLoader(Squares(6), 2, num_workers=1)
    pairs = [(a[0].tolist(), b[0].tolist()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [([0, 1], [0, 1]), ([2, 3], [2, 3]), ([4, 5], [4, 5])]


# -- samplers ------------------------------------------------------------------------------------


def test_samplers_say_the_order():
    mg.manual_seed(0)
    items = [10, 20, 30, 40, 50]
    assert list(data.SequentialSampler(items)) == [0, 1, 2, 3, 4]
    some = data.SubsetRandomSampler([4, 1, 3])
    first = list(some)
    assert sorted(first) == [1, 3, 4] and len(some) == 3
    assert any(list(some) != first for _ in range(20))
    everything = data.RandomSampler(items, generator=mg.Generator().manual_seed(3))
    again = data.RandomSampler(items, generator=mg.Generator().manual_seed(3))
    assert list(everything) == list(again) and sorted(again) == [0, 1, 2, 3, 4]


def test_the_loader_takes_them_and_has_one():
    dataset = data.TensorDataset(mg.arange(10))
    loader = data.DataLoader(dataset, 4, sampler=data.SubsetRandomSampler([7, 8, 9, 2, 1]))
    assert len(loader) == 2
    assert sorted(i for (batch,) in loader for i in batch.tolist()) == [1, 2, 7, 8, 9]
    assert isinstance(data.DataLoader(dataset).sampler, data.SequentialSampler)
    assert isinstance(data.DataLoader(dataset, shuffle=True).sampler, data.RandomSampler)


def test_listings_import_them_from_where_pytorch_has_them():
    from minigrad.utils.data.dataloader import DataLoader
    from minigrad.utils.data.dataset import Dataset
    from minigrad.utils.data.sampler import SubsetRandomSampler

    assert (DataLoader, Dataset) == (data.DataLoader, data.Dataset)
    assert SubsetRandomSampler is data.SubsetRandomSampler


def test_a_generator_of_ones_own():
    parts = [
        data.random_split(range(10), [7, 3], generator=mg.Generator().manual_seed(seed))
        for seed in (42, 42, 43)
    ]
    same, other = ([p.indices.tolist() for p in split] for split in (parts[1], parts[2]))
    assert [p.indices.tolist() for p in parts[0]] == same != other
    with pytest.raises(NotImplementedError, match=r"\[Generator\] only the CPU"):
        mg.Generator("cuda")
