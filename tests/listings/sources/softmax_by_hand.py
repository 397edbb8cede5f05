# Softmax regression on tensors alone, then the same with layers: which of five corners is brightest?
import torch

torch.manual_seed(1)
corners, pixels = 5, 12
pictures = torch.randn(60, 3, 4)
labels = pictures.reshape(60, -1)[:, :corners].argmax(axis=1)
weight = torch.normal(0, 0.01, size=(pixels, corners), requires_grad=True)
offset = torch.zeros(corners, requires_grad=True)


def probabilities(batch):
    scores = torch.matmul(batch.reshape((-1, pixels)), weight) + offset
    scores = torch.exp(scores - scores.max(axis=1, keepdims=True).values)
    return scores / scores.sum(1, keepdim=True)


def surprise(predicted, truth):
    return -torch.log(predicted[range(len(truth)), truth])


def right(predicted, truth):
    guessed = predicted.argmax(dim=1).type(truth.dtype)
    return float((guessed == truth).type(torch.float32).sum())


for epoch in range(3):
    order = torch.randperm(len(pictures))
    for start in range(0, len(pictures), 16):
        chosen = order[start : start + 16]
        loss = surprise(probabilities(pictures[chosen]), labels[chosen])
        loss.sum().backward()
        with torch.no_grad():
            for tensor in (weight, offset):
                tensor -= 0.1 * tensor.grad / len(chosen)
                tensor.grad.zero_()
    with torch.no_grad():
        now = probabilities(pictures)
    print(f"after {epoch + 1}: {surprise(now, labels).mean().item():.4f}, {right(now, labels)} right")

head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(pixels, corners))
each = torch.nn.CrossEntropyLoss(reduction="none")(head(pictures), labels)
step = torch.optim.SGD(head.parameters(), lr=0.1)
step.zero_grad()
each.mean().backward()
step.step()
confidence = torch.nn.Softmax(dim=1)(head(pictures))
print(head, each.shape, confidence.sum(dim=1)[:3].detach())
