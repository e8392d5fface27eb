"""The default run of `exp` as a plain PyTorch script, with the same data, model, seed and steps."""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.set_num_threads(1)  # two are slower here, and much slower on a busy machine
x, y = load_breast_cancer(return_X_y=True)
torch.manual_seed(0)
train, val, test = (part.indices for part in random_split(range(569), [341, 113, 115]))
x = torch.tensor(StandardScaler().fit(x[train]).transform(x), dtype=torch.float32)
y = torch.tensor(y)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(30, 10), nn.ReLU(), nn.Linear(10, 2))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
loader = DataLoader(TensorDataset(x[train], y[train]), batch_size=10, shuffle=True)
for epoch in range(20):
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        print(epoch, criterion(model(x[val]), y[val]).item())
with torch.no_grad():
    print("test accuracy", (model(x[test]).argmax(1) == y[test]).float().mean().item())
