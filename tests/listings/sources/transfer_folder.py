# Transfer learning's pictures: a folder a class, cropped at random to learn from and in the middle.
import os

import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

torch.manual_seed(16)
for phase in ("train", "val"):
    for kind, hue in (("ants", 200), ("bees", 40)):
        os.makedirs(os.path.join("insects", phase, kind), exist_ok=True)
        for i in range(3):
            image = Image.new("RGB", (40 + i, 36), (hue, 70 * i, 90))
            image.paste((10, 20, 255 - 80 * i), (5 * i, 8, 5 * i + 9, 24))
            image.save(os.path.join("insects", phase, kind, f"{i}.png"))

data_transforms = {
    "train": transforms.Compose([
        transforms.RandomResizedCrop(24),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]),
    "val": transforms.Compose([
        transforms.Resize(28),
        transforms.CenterCrop(24),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]),
}
pictures = {
    x: datasets.ImageFolder(os.path.join("insects", x), data_transforms[x])
    for x in ("train", "val")
}
loaders = {x: DataLoader(pictures[x], batch_size=4, shuffle=True) for x in ("train", "val")}
sizes = {x: len(pictures[x]) for x in ("train", "val")}
names = pictures["train"].classes
print(sizes, names, pictures["val"].class_to_idx, data_transforms["train"])
seen = {}
for phase in ("train", "val"):
    for i, (inputs, classes) in enumerate(loaders[phase]):
        print(phase, inputs.shape, classes.tolist(), [names[c] for c in classes])
        seen[f"{phase} {i}"] = inputs
