"""TransPose-R as plainly as it can be written, with the published checkpoints' names."""

import math

import torch
from torch import nn
from torchvision.models import resnet50


def sine_embedding(height, width, channels):
    """(P, C), one number at a time."""
    half = channels // 2
    rows = []
    for y in range(height):
        for x in range(width):
            row = []
            for place, last in ((y, height), (x, width)):
                angle = (place + 1) / (last + 1e-6) * 2 * math.pi
                for channel in range(half):
                    wave = angle / 10000 ** (2 * (channel // 2) / half)
                    row.append(math.cos(wave) if channel % 2 else math.sin(wave))
            rows.append(row)
    return torch.tensor(rows)


class Layer(nn.Module):
    def __init__(self, channels, heads, hidden):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, heads)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, tokens, position):  # (P, B, C)
        query = tokens + position
        attended, self.attention = self.self_attn(query, query, tokens, need_weights=True)
        tokens = self.norm1(tokens + attended)
        return self.norm2(tokens + self.linear2(self.linear1(tokens).relu()))


class PlainTransPose(nn.Module):
    """Without dropout: only of use in evaluation mode."""

    def __init__(
        self, num_layers=4, channels=256, heads=8, hidden=1024, keypoints=17, size=(32, 24)
    ):
        super().__init__()
        resnet = resnet50()
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.relu, self.maxpool = resnet.relu, resnet.maxpool
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.reduce = nn.Conv2d(512, channels, 1, bias=False)
        embedding = sine_embedding(*size, channels)[:, None]
        self.pos_embedding = nn.Parameter(embedding, requires_grad=False)
        self.global_encoder = nn.Module()
        self.global_encoder.layers = nn.ModuleList(
            Layer(channels, heads, hidden) for _ in range(num_layers)
        )
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(channels, channels, 4, 2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.final_layer = nn.Conv2d(channels, keypoints, 1)

    def forward(self, images):
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features = self.reduce(self.layer2(self.layer1(features)))
        tokens = features.flatten(2).permute(2, 0, 1)
        for layer in self.global_encoder.layers:
            tokens = layer(tokens, self.pos_embedding)
        features = tokens.permute(1, 2, 0).reshape(features.shape)
        return self.final_layer(self.deconv_layers(features))
