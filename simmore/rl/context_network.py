"""The in-context controller's network in torch, for training; `context.ContextNetwork` is the same on plain arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from simmore.rl import context
from simmore.rl.context import COMPONENTS, CORRECTION, HEADS, OFFSET_VARIANCE, RANK, WIDTH

_SIZE = WIDTH // HEADS


class Beliefs(NamedTuple):
    """`context.Belief` of a batch, and the mean token of each history, ``(batch, 64)``."""

    mean: Tensor
    deviation: Tensor
    ends: Tensor  # (batch, 2): log range, log fastest
    ends_deviation: Tensor
    pooled: Tensor

    def arrays(self) -> context.Belief:
        """Without gradients, as plain arrays."""
        mean, deviation, ends, spread, summary = (each.detach().numpy() for each in self)
        return context.Belief(mean, deviation, ends[:, 0], spread[:, 0], ends[:, 1], spread[:, 1], summary)


class Layer(nn.Module):
    """A pre-norm transformer layer over a set."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attend, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, t: Tensor, present: Tensor) -> Tensor:
        q, k, v = (_heads(part) for part in self.attend(self.norm1(t)).chunk(3, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=present[:, None, None, :])
        t = t + self.out(mixed.transpose(1, 2).flatten(2))
        return t + self.feed(self.norm2(t))


def _heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (HEADS, _SIZE)).transpose(1, 2)  # (batch, heads, n, size)


class Network(nn.Module):
    """The belief and the heads of the decisions.

    Parameters
    ----------
    reference
        Cells that are often the fastest or the slowest of a device, ``(64,)``.
    blind
        The network sees no latencies.
    """

    def __init__(self, reference: np.ndarray, *, blind: bool = False) -> None:
        super().__init__()
        x = torch.from_numpy(context.cell_features().copy())
        w, c, wide = WIDTH, CORRECTION, x.shape[1] + 128
        self.features: Tensor
        self.reference: Tensor
        self.register_buffer("features", x, persistent=False)
        self.register_buffer("reference", torch.as_tensor(np.asarray(reference), dtype=torch.float32))
        self.register_buffer("blind", torch.tensor(float(blind)))
        self.encoder = nn.Sequential(nn.Linear(x.shape[1], 128), nn.ReLU(), nn.Linear(128, w))
        self.kernel, self.prior_mean = nn.Linear(wide, COMPONENTS * RANK), nn.Linear(wide, COMPONENTS)
        nn.init.normal_(self.kernel.weight, std=0.5 / np.sqrt(RANK * wide))
        self.component = nn.Parameter(torch.zeros(COMPONENTS))
        self.log_noise = nn.Parameter(torch.linspace(-4.5, -1.5, COMPONENTS))
        self.token = nn.Linear(w + 3, w)
        self.layers = nn.ModuleList(Layer() for _ in range(context.LAYERS))
        self.norm = nn.LayerNorm(w)
        self.query, self.key, self.value = nn.Linear(w, w), nn.Linear(w, w), nn.Linear(w, w)
        self.correct_cell, self.correct_attended = nn.Linear(w, c, bias=False), nn.Linear(w, c, bias=False)
        self.correct_process, self.correct_pooled = nn.Linear(2 + COMPONENTS, c, bias=False), nn.Linear(w, c)
        self.correct = nn.Sequential(nn.Linear(c, c), nn.ReLU(), nn.Linear(c, 2))
        self.ends = nn.Sequential(nn.Linear(w + context.RANGE_FEATURES, w), nn.ReLU(), nn.Linear(w, 4))
        self.beta, self.recommend_beta = nn.Parameter(torch.tensor(4.0)), nn.Parameter(torch.tensor(60.0))
        self.decide = nn.Sequential(nn.Linear(context.DECISION_FEATURES, 32), nn.ReLU(), nn.Linear(32, 1))
        self.recommend = nn.Sequential(nn.Linear(context.RECOMMENDATION_FEATURES, 32), nn.ReLU(), nn.Linear(32, 1))
        self.regret = nn.Sequential(nn.Linear(w + context.SUMMARY_FEATURES, 32), nn.ReLU(), nn.Linear(32, 1))
        for last in (self.correct[-1], self.ends[-1], self.decide[-1], self.recommend[-1]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, archs: Tensor, y: Tensor, present: Tensor, queries: Tensor) -> Beliefs:
        """Beliefs of several histories on the same cells.

        Parameters
        ----------
        archs, y, present
            Histories, ``(batch, n)`` each: cells, log latencies relative to their mean, and which are not padding.
        queries
            Cells, ``(cells,)``; the reference cells must be the first ones.
        """
        b, n = archs.shape
        x = self.features[torch.cat([archs.flatten(), queries])]
        hidden = torch.relu(self.encoder[0](x))
        embedding = self.encoder[2](hidden)
        wide = torch.cat([x, hidden], dim=1)
        phi = self.kernel(wide).unflatten(1, (COMPONENTS, RANK)).double()
        prior = self.prior_mean(wide).double()
        mean, deviation, weights = self._gaussian_processes(
            phi[: b * n].unflatten(0, (b, n)),
            prior[: b * n].unflatten(0, (b, n)),
            y,
            present,
            phi[b * n :],
            prior[b * n :],
        )
        seen = torch.from_numpy(context.tokens_of(y.numpy(), present.numpy()))
        if self.blind:
            seen[..., :2] = 0
        t = self.token(torch.cat([embedding[: b * n].unflatten(0, (b, n)), seen], dim=-1))
        for layer in self.layers:
            t = layer(t, present)
        t = self.norm(t)
        pooled = (t * present[..., None]).sum(1) / present.sum(1, keepdim=True)
        cells = embedding[b * n :]  # (cells, width)
        q = _heads(self.query(cells)[None]).expand(b, -1, -1, -1)
        attended = nn.functional.scaled_dot_product_attention(
            q, _heads(self.key(t)), _heads(self.value(t)), attn_mask=present[:, None, None, :]
        )
        attended = attended.transpose(1, 2).flatten(2)  # (batch, cells, width)
        process = torch.cat([torch.stack([mean, deviation.log()], -1), weights[:, None].expand(-1, len(cells), -1)], -1)
        inner = self.correct_cell(cells) + self.correct_attended(attended) + self.correct_pooled(pooled)[:, None]
        correction = self.correct(torch.relu(inner + self.correct_process(process.float())))
        mean = (mean + deviation * correction[..., 0]).float()
        deviation = (deviation * correction[..., 1].clamp(-3, 3).exp()).float()
        extremes, base = self._ends_of_reference(mean, deviation)
        ends = self.ends(torch.cat([pooled, extremes], dim=1))
        return Beliefs(mean, deviation, base + ends[:, :2], (ends[:, 2:] - 1.5).clamp(-5, 1).exp(), pooled)

    def _gaussian_processes(
        self, phi: Tensor, prior: Tensor, y: Tensor, present: Tensor, phi_q: Tensor, prior_q: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `context.ContextNetwork`; float64, because covariances of similar cells are nearly singular."""
        y, there = y.double()[:, None], present.double()[:, None]  # (batch, 1, n)
        phi, prior = phi.permute(0, 2, 1, 3), prior.transpose(1, 2)  # (batch, components, n, …)
        noise = (2 * self.log_noise.double()).exp() + context.SMALLEST_NOISE**2
        both = there[..., :, None] * there[..., None, :]
        eye = torch.eye(y.shape[-1], dtype=torch.float64)
        covariance = (phi @ phi.transpose(-1, -2) + OFFSET_VARIANCE) * both + noise[:, None, None] * eye
        covariance = covariance + eye * (1 - there)[..., None]  # padding: independent
        factor = torch.linalg.cholesky(covariance)
        if self.blind:
            y = prior - (prior * there).sum(-1, keepdim=True) / there.sum(-1, keepdim=True)
        residual = (y - prior) * there
        white = torch.linalg.solve_triangular(factor, residual[..., None], upper=False)[..., 0]
        log_diagonal = (factor.diagonal(dim1=-2, dim2=-1).log() * there).sum(-1)
        weights = torch.softmax(self.component.double() - 0.5 * (white**2).sum(-1) - log_diagonal, dim=-1)
        cross = (torch.einsum("bmnr,qmr->bmnq", phi, phi_q) + OFFSET_VARIANCE) * there[..., None]
        reduced = torch.linalg.solve_triangular(factor, cross, upper=False)  # (batch, components, n, cells)
        means = prior_q.T + (white[..., None] * reduced).sum(-2)  # (batch, components, cells)
        own = (phi_q**2).sum(-1).T + OFFSET_VARIANCE
        variances = (own - (reduced**2).sum(-2)).clamp(min=0) + noise[:, None]
        mean = (weights[..., None] * means).sum(1)
        variance = (weights[..., None] * (variances + (means - mean[:, None]) ** 2)).sum(1)
        return mean, variance.sqrt(), weights

    def _ends_of_reference(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """See `context.range_features`."""
        mean, deviation = mean[:, : context.REFERENCE], deviation[:, : context.REFERENCE]
        (highest, slow), (lowest, fast) = mean.max(dim=1), mean.min(dim=1)
        log_range = highest + (1 - (lowest - highest).exp()).clamp(min=1e-3).log()
        spread = [deviation.gather(1, at[:, None])[:, 0].log() for at in (slow, fast)]
        return torch.stack([log_range, highest, lowest, *spread], dim=1), torch.stack([log_range, lowest], dim=1)

    def logits(self, features: Tensor) -> Tensor:
        """See `context.ContextNetwork.logits`."""
        return self.beta * features[..., 0] + self.decide(features)[..., 0]

    def recommendation_logits(self, features: Tensor) -> Tensor:
        """See `context.ContextNetwork.recommendation_logits`."""
        return self.recommend_beta * features[..., 0] + self.recommend(features)[..., 0]

    def expected_regret(self, summary: Tensor) -> Tensor:
        """See `context.ContextNetwork.expected_regret`."""
        return nn.functional.softplus(self.regret(summary)[..., 0])

    def to_arrays(self, description: dict[str, Any]) -> context.ContextNetwork:
        """The network on plain arrays."""
        arrays = {name: tensor.detach().numpy().copy() for name, tensor in self.state_dict().items()}
        return context.ContextNetwork(arrays, description)
