"""weights=PATH and pretrained=True: PyTorch's files give PyTorch's logits, the published ones are
found where they are kept, and whatever does not fit is said with what to do."""

import hashlib
import inspect
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch

import minigrad as mg
from alexnet import checkpoint, models, weights
from alexnet.errors import InputError
from alexnet.models import MODELS
from alexnet.twin import network_twin
from alexnet.weights import PUBLISHED, Published, loadable
from minigrad import nn
from tests.alexnet.twins import eighth, narrowed

FORMATS = {"zip": True, "stream": False}


@loadable
def tiny(num_classes: int = 5, width: int = 8, aux: bool = False) -> nn.Sequential:
    """A network of this test alone."""
    net = nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, width, 3, padding=1), bn=nn.BatchNorm2d(width), relu=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d((2, 2)), flatten=nn.Flatten(),
            fc=nn.Linear(4 * width, num_classes),
        )
    )
    if aux:
        net.add_module("aux1", nn.Linear(num_classes, num_classes))
    return net


def tiny_in_pytorch(num_classes=5, width=8):
    net = torch.nn.Sequential(
        OrderedDict(
            conv=torch.nn.Conv2d(3, width, 3, padding=1), bn=torch.nn.BatchNorm2d(width),
            relu=torch.nn.ReLU(), pool=torch.nn.AdaptiveAvgPool2d((2, 2)),
            flatten=torch.nn.Flatten(), fc=torch.nn.Linear(4 * width, num_classes),
        )
    )
    net(torch.rand(4, 3, 6, 6))  # gives the running statistics something to say
    return net.eval()


def logits_agree(ours, theirs, images):
    with torch.no_grad(), mg.no_grad():
        expected = theirs(images).numpy()
        found = ours.eval()(mg.Tensor(images.numpy())).array
    assert np.ptp(expected) > 0
    atol = (1e-5 if expected.dtype == np.float32 else 1e-10) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A published file of `tiny`, which is nowhere yet, and two empty folders to look in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    theirs = tiny_in_pytorch()
    torch.save(theirs.state_dict(), tmp_path / "tiny.pth")
    content = (tmp_path / "tiny.pth").read_bytes()
    file = f"tiny-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(PUBLISHED, "tiny", Published(file))
    folders = tmp_path / "cache" / "minigrad" / "weights", tmp_path / "torch/hub/checkpoints"
    for folder in folders:
        folder.mkdir(parents=True)
    return theirs, content, [folder / file for folder in folders]


# -------------------------------------------------------------------------------------- a path


@pytest.mark.parametrize("zipped", FORMATS.values(), ids=FORMATS)
def test_pytorchs_files_give_pytorchs_logits(tmp_path, zipped):
    theirs = tiny_in_pytorch()
    torch.save(theirs.state_dict(), tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    logits_agree(tiny(weights=tmp_path / "x.pth"), theirs, torch.rand(3, 3, 6, 6))
    logits_agree(tiny(5, weights=str(tmp_path / "x.pth")), theirs, torch.rand(3, 3, 6, 6))


@pytest.mark.parametrize("zipped", FORMATS.values(), ids=FORMATS)
def test_alexnets_logits(tmp_path, zipped):
    """The whole network in a small file: its weights overlap in one storage, as strides can."""
    numbers = torch.randn(200_000) * 0.02
    shapes = {key: x.shape for key, x in models.AlexNet(num_classes=10).state_dict().items()}
    state = {
        key: numbers.as_strided(shape, [7**i % 31 for i in range(len(shape), 0, -1)], start)
        for start, (key, shape) in enumerate(shapes.items())
    }
    torch.save(state, tmp_path / "alexnet.pth", _use_new_zipfile_serialization=zipped)
    assert (tmp_path / "alexnet.pth").stat().st_size < 1_000_000  # a hundredth

    def conv(*args, **options):
        return torch.nn.Conv2d(*args, **options), torch.nn.ReLU()

    pool = torch.nn.MaxPool2d(3, 2)
    with torch.device("meta"):  # no memory of its own: the weights are used as they are
        theirs = torch.nn.Sequential(
            OrderedDict(
                features=torch.nn.Sequential(
                    *conv(3, 64, 11, stride=4, padding=2), pool, *conv(64, 192, 5, padding=2), pool,
                    *conv(192, 384, 3, padding=1), *conv(384, 256, 3, padding=1),
                    *conv(256, 256, 3, padding=1), pool,
                ),
                flatten=torch.nn.Flatten(),  # at 224 x 224 the average pool has nothing to do
                classifier=torch.nn.Sequential(
                    torch.nn.Dropout(), torch.nn.Linear(9216, 4096), torch.nn.ReLU(),
                    torch.nn.Dropout(), torch.nn.Linear(4096, 4096), torch.nn.ReLU(),
                    torch.nn.Linear(4096, 10),
                ),
            )
        )
    theirs.load_state_dict(state, assign=True)
    ours = models.get_model("alexnet", num_classes=10, weights=tmp_path / "alexnet.pth")
    logits_agree(ours, theirs.eval(), torch.rand(1, 3, 224, 224))


@pytest.mark.parametrize(
    ("name", "side"), [("vgg11_bn", 32), ("resnet18", 64), ("resnet50", 64), ("googlenet", 64)]
)
def test_the_familys_logits(tmp_path, name, side):
    """Of networks an eighth as wide, whose running statistics are those of a batch."""
    torch.manual_seed(0)
    with narrowed(eighth):
        theirs = network_twin(name, models.get_model(name, num_classes=80), num_classes=80)
        for layer in theirs.modules():
            if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                layer.momentum = None  # a mean of all batches: otherwise a tenth of it counts
        with torch.no_grad():
            theirs(torch.randn(8, 3, side, side))
        ours = []
        for zipped in FORMATS.values():
            path = tmp_path / f"{zipped}.pth"
            torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=zipped)
            ours.append(models.get_model(name, num_classes=80, weights=path).double())
    theirs.double().eval()  # so many layers would show float32's rounding
    images = torch.randn(2, 3, side, side).double()
    for net in ours:
        logits_agree(net, theirs, images)
    with torch.no_grad():
        assert theirs(images).std(0).max() > 1e-3  # they are of the images, not biases alone


def test_the_other_formats(tmp_path):
    net = tiny()
    mg.save(net.state_dict(), tmp_path / "x.safetensors")
    np.savez(tmp_path / "x.npz", **{key: x.array for key, x in net.state_dict().items()})
    checkpoint.save_weights(net, tmp_path / "own.safetensors", {"model": "tiny"})
    for file in ("x.safetensors", "x.npz", "own.safetensors"):
        for key, x in tiny(weights=tmp_path / file).state_dict().items():
            np.testing.assert_array_equal(x.array, net.state_dict()[key].array)


def test_files_of_before_batches_were_counted(tmp_path):
    theirs = tiny_in_pytorch()
    state = {k: x for k, x in theirs.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "x.pth")
    logits_agree(tiny(weights=tmp_path / "x.pth"), theirs, torch.rand(3, 3, 6, 6))


@pytest.mark.parametrize("name", MODELS)
def test_every_network_takes_weights(name):
    parameters = inspect.signature(MODELS[name].build).parameters
    assert {"weights", "pretrained"} <= set(parameters)


def test_another_number_of_classes_is_said_with_both_shapes(tmp_path):
    mg.save(tiny(num_classes=7).state_dict(), tmp_path / "x.pth")
    with pytest.raises(InputError) as caught:
        tiny(weights=tmp_path / "x.pth")
    assert str(caught.value) == (
        f"{tmp_path / 'x.pth'} holds the weights of another network, or of another number of "
        "classes: of another shape fc.weight (7, 32) instead of (5, 32), fc.bias (7,) instead of "
        "(5,). Build the network that the file is of, with its num_classes=...; for classes of "
        "your own, replace the last layer after that, or let `alexnet finetune --weights` do both"
    )


def test_replacing_the_last_layer_is_the_way(tmp_path):
    mg.save(tiny(num_classes=7).state_dict(), tmp_path / "x.pth")
    net = tiny(num_classes=7, weights=tmp_path / "x.pth")
    net.fc = nn.Linear(32, 3)
    assert net(mg.zeros(2, 3, 6, 6)).shape == (2, 3)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"state_dict": {"w": torch.ones(1)}, "epoch": 3},
         r"under 'state_dict' there is a dict. .* one of \['state_dict'\]"),
        ([torch.ones(1)], "holds a list, not a state_dict"),
        ({"features.0.weight": torch.ones(1)},
         "missing conv.weight, .* and 4 more; unexpected features.0.weight"),
        (torch.nn.Linear(2, 2).state_dict, "which no state_dict needs"),
    ],
    ids=["checkpoint", "list", "another network", "refused"],
)
def test_files_that_do_not_fit(tmp_path, state, message):
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(InputError, match=f"{tmp_path / 'x.pth'}.*{message}"):
        tiny(weights=tmp_path / "x.pth")


@pytest.mark.parametrize("file", ["nothing.pth", "."])
def test_files_that_cannot_be_read(tmp_path, file):
    with pytest.raises(InputError, match="cannot read .*(No such file|Is a directory)"):
        tiny(weights=tmp_path / file)


# ------------------------------------------------------------------------------- published files


@pytest.mark.parametrize("place", [0, 1], ids=["our cache", "PyTorch's"])
@pytest.mark.parametrize("asked", [{"pretrained": True}, {"weights": "IMAGENET1K_V1"}])
def test_pretrained(published, place, asked):
    theirs, content, paths = published
    paths[place].write_bytes(content)
    logits_agree(tiny(**asked), theirs, torch.rand(3, 3, 6, 6))


def test_pytorchs_folder_without_its_variables(published, monkeypatch, tmp_path):
    theirs, content, _ = published
    monkeypatch.delenv("TORCH_HOME")
    path = tmp_path / "cache" / "torch" / "hub" / "checkpoints" / PUBLISHED["tiny"].file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert weights.published_file("tiny") == path
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cache").rename(tmp_path / ".cache")
    assert weights.published_file("tiny") == tmp_path / ".cache" / path.relative_to(
        tmp_path / "cache"
    )


def test_a_missing_file_is_said_with_its_address_and_its_place(published):
    _, _, paths = published
    with pytest.raises(InputError) as caught:
        tiny(pretrained=True)
    file = PUBLISHED["tiny"].file
    assert f"put https://download.pytorch.org/models/{file} into {paths[0].parent}" in str(
        caught.value
    )
    assert str(paths[1].parent) in str(caught.value)


def test_a_file_that_is_not_the_published_one(published):
    _, content, paths = published
    paths[0].write_bytes(content[:-1])
    with pytest.raises(InputError, match="is not the published file: its SHA-256 begins with "):
        tiny(pretrained=True)


def test_published_weights_for_other_classes(published):
    _, content, paths = published
    paths[0].write_bytes(content)
    with pytest.raises(InputError, match=r"fc.weight \(5, 32\) instead of \(10, 32\)"):
        tiny(num_classes=10, pretrained=True)


def test_networks_that_nobody_published():
    with pytest.raises(InputError, match="no weights of alexnet_d2l are published; train it"):
        models.get_model("alexnet_d2l_pad0", pretrained=True)


def test_both_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"\[tiny\] weights='x.pth' and pretrained=True"):
        tiny(weights="x.pth", pretrained=True)


@pytest.mark.parametrize("name", ["DEFAULT", "IMAGENET1K_V2"])
def test_torchvisions_other_names_of_weights(name):
    with pytest.raises(ValueError, match=f"weights='{name}': of the published .* 'IMAGENET1K_V1'"):
        tiny(weights=name)


def test_what_a_published_network_must_be_built_with_and_may_lack(published, monkeypatch):
    """As GoogLeNet: its file has heads that only training needs."""
    _, _, paths = published
    net = tiny(width=4, aux=True)
    mg.save(net.state_dict(), paths[0])
    file = paths[0].with_name(f"tiny-{checkpoint.sha256(paths[0])[:8]}.pth")
    paths[0].rename(file)
    monkeypatch.setitem(PUBLISHED, "tiny", Published(file.name, {"width": 4}, ("aux1.",)))
    found = tiny(pretrained=True)
    assert found.conv.weight.tolist() == net.conv.weight.tolist()
    assert not hasattr(found, "aux1")
    assert tiny(pretrained=True, aux=True).aux1.weight.tolist() == net.aux1.weight.tolist()
    with pytest.raises(InputError, match="instead of"):  # what is asked for comes first
        tiny(pretrained=True, width=8)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_names_of_published_files(name):
    """They say whose they are, and end in what can be checked."""
    stem = {"alexnet": "alexnet-owt"}.get(name, name)
    assert re.fullmatch(rf"{stem}-[0-9a-f]{{8}}\.pth", PUBLISHED[name].file)


def test_what_help_shows():
    assert list(inspect.signature(tiny).parameters) == [
        "num_classes", "width", "aux", "weights", "pretrained"
    ]
    assert tiny.__doc__ == "A network of this test alone."
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        tiny(depth=3)


def test_constructors_with_open_ends():
    @loadable
    def open_ended(*args, **options):
        return tiny(*args, **options)

    assert list(inspect.signature(open_ended).parameters) == [
        "args", "weights", "pretrained", "options"
    ]
