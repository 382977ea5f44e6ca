"""The DNC in plain NumPy loops, float64: the oracle of the tests.

Written from the paper (Graves et al., 2016, Methods) and from its extension
to several write heads, one function a formula, to be read beside the paper.
Every formula takes one example, without a batch; `sequence` goes through the
examples of a batch one after the other.

    M (N, W) memory             w_w (V, N) write weightings
    u (N,)   usage              w_r (R, N) read weightings
    p (V, N) precedence         r   (R, W) read vectors
    L (V, N, N) links           xi  interface vector
"""

import math
from typing import Any, NamedTuple

import numpy as np

EPSILON = 1e-6


class State(NamedTuple):
    """What is carried from step to step, of one example or of a batch."""

    M: Any
    u: Any
    p: Any
    L: Any
    w_w: Any
    w_r: Any
    r: Any
    controller: list


# Elementary functions


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - sigmoid(-x)


def sigmoids(x):
    return np.vectorize(sigmoid, otypes=[float])(x)


def oneplus(x):
    """1 + log(1 + e^x), without e^x where that overflows."""
    return 1 + max(x, 0) + math.log1p(math.exp(-abs(x)))


def softmax(x):
    powers = [math.exp(x_n - max(x)) for x_n in x]
    return np.array([power / sum(powers) for power in powers])


def unit_vector(x):
    norm = math.sqrt(sum(x_i**2 for x_i in x) + EPSILON)
    return np.array([x_i / norm for x_i in x])


def cosine(k, m):
    k, m = unit_vector(k), unit_vector(m)
    return sum(k[i] * m[i] for i in range(len(k)))


# Addressing


def content_weighting(M, k, beta, similarity=cosine):
    """C(M, k, β) of one key."""
    return softmax([beta * similarity(k, M[n]) for n in range(len(M))])


def retention(f, w_r):
    """ψ from the free gates and the previous read weightings."""
    R, N = w_r.shape
    psi = np.ones(N)
    for n in range(N):
        for i in range(R):
            psi[n] *= 1 - f[i] * w_r[i, n]
    return psi


def usage(u, w_w, psi):
    """u_t from the previous usage and the previous write weightings."""
    V, N = w_w.shape
    new = np.zeros(N)
    for n in range(N):
        not_written = 1.0
        for v in range(V):
            not_written *= 1 - w_w[v, n]
        written = 1 - not_written
        new[n] = (u[n] + written - u[n] * written) * psi[n]
    return new


def free_list(u):
    """φ: the slots by ascending usage; of equal ones the lower first."""
    return sorted(range(len(u)), key=lambda n: (u[n], n))


def allocation_weighting(u, phi=None):
    """a of one head; φ is the free list of u' unless it is given."""
    N = len(u)
    u = [EPSILON + (1 - EPSILON) * u[n] for n in range(N)]
    phi = free_list(u) if phi is None else phi
    a = np.zeros(N)
    for j in range(N):
        a[phi[j]] = 1 - u[phi[j]]
        for i in range(j):
            a[phi[j]] *= u[phi[i]]
    return a


def allocation_weightings(u, g_a, g_w):
    """a^v of every head: each takes what those before it leave."""
    V, N = len(g_a), len(u)
    a = np.zeros((V, N))
    for v in range(V):
        a[v] = allocation_weighting(u)
        u = [u[n] + (1 - u[n]) * g_a[v] * g_w[v] * a[v, n] for n in range(N)]
    return a


def write_weighting(a, c, g_a, g_w):
    """w^w of one head."""
    N = len(a)
    return np.array([g_w * (g_a * a[n] + (1 - g_a) * c[n]) for n in range(N)])


def link(L, p, w):
    """L_t of one head, from its *previous* precedence."""
    N = len(w)
    new = np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            if i != j:
                new[i, j] = (1 - w[i] - w[j]) * L[i, j] + w[i] * p[j]
    return new


def precedence(p, w):
    """p_t of one head."""
    N = len(w)
    return np.array([(1 - sum(w)) * p[n] + w[n] for n in range(N)])


def forward_weighting(L, w_r):
    """f = L w^r of one write and one read head."""
    N = len(w_r)
    return np.array([sum(L[i, j] * w_r[j] for j in range(N)) for i in range(N)])


def backward_weighting(L, w_r):
    """b = Lᵀ w^r of one write and one read head."""
    N = len(w_r)
    return np.array([sum(L[i, j] * w_r[i] for i in range(N)) for j in range(N)])


def read_weighting(b, c, f, pi):
    """w^r of one read head; pi orders backward_v, content, forward_v."""
    V, N = b.shape
    w = np.zeros(N)
    for n in range(N):
        w[n] = pi[V] * c[n]
        for v in range(V):
            w[n] += pi[v] * b[v, n] + pi[V + 1 + v] * f[v, n]
    return w


# Extensions of the paper


def masked_cosine(k, m, mask):
    """D(k∘m, M[n]∘m), both normalised after masking."""
    W = range(len(k))
    return cosine([k[i] * mask[i] for i in W], [m[i] * mask[i] for i in W])


def sharpened(d, s):
    """(d + ε)^s / Σ (d + ε)^s."""
    powers = [(d_n + EPSILON) ** s for d_n in d]
    return np.array([power / sum(powers) for power in powers])


def largest(x, K):
    """x with all but its K largest elements set to zero."""
    kept = sorted(range(len(x)), key=lambda n: (-x[n], n))[:K]
    return np.array([x[n] if n in kept else 0.0 for n in range(len(x))])


def sparse_link(L, p, w, K):
    """New links of the K largest of w and p; each row cut to its K largest."""
    N = len(w)
    to, since = largest(w, K), largest(p, K)
    new = np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            if i != j:
                new[i, j] = (1 - w[i] - w[j]) * L[i, j] + to[i] * since[j]
    return np.array([largest(row, K) for row in new])


# Memory


def erase_and_write(M, w_w, e, nu):
    """M_t: all heads erase, then all add."""
    (N, W), V = M.shape, len(w_w)
    new = np.zeros((N, W))
    for n in range(N):
        for i in range(W):
            new[n, i] = M[n, i]
            for v in range(V):
                new[n, i] *= 1 - w_w[v, n] * e[v, i]
            for v in range(V):
                new[n, i] += w_w[v, n] * nu[v, i]
    return new


def read(M, w):
    """r = Mᵀ w of one read head."""
    N, W = M.shape
    return np.array([sum(M[n, i] * w[n] for n in range(N)) for i in range(W)])


# Interface


class Interface(NamedTuple):
    k_r: Any
    beta_r: Any
    k_w: Any
    beta_w: Any
    e: Any
    nu: Any
    f: Any
    g_a: Any
    g_w: Any
    pi: Any
    m_r: Any = ()
    m_w: Any = ()
    s_b: Any = ()
    s_f: Any = ()


def interface_size(
    W, R, V, masked_keys=False, sharpness=False, content_only=False
):
    size = R * W + 3 * V * W + 2 * R + 3 * V
    if not content_only:
        size += R * (1 + 2 * V)
    if masked_keys:
        size += (R + V) * W
    if sharpness and not content_only:
        size += 2 * R * V
    return size


def interface(
    xi,
    W,
    R,
    V,
    masked_keys=False,
    mask_minimum=0.0,
    sharpness=False,
    content_only=False,
):
    """The parts of the interface vector, each in its range."""
    xi = list(xi)

    def take(*shape):
        part = [xi.pop(0) for _ in range(math.prod(shape))]
        return np.array(part, dtype=float).reshape(shape)

    k_r = take(R, W)
    beta_r = np.array([oneplus(x) for x in take(R)])
    k_w = take(V, W)
    beta_w = np.array([oneplus(x) for x in take(V)])
    e = sigmoids(take(V, W))
    nu = take(V, W)
    f = sigmoids(take(R))
    g_a = sigmoids(take(V))
    g_w = sigmoids(take(V))
    pi = m_r = m_w = s_b = s_f = ()
    if not content_only:
        pi = np.array([softmax(modes) for modes in take(R, 1 + 2 * V)])
    if masked_keys:
        m_r = mask_minimum + (1 - mask_minimum) * sigmoids(take(R, W))
        m_w = mask_minimum + (1 - mask_minimum) * sigmoids(take(V, W))
    if sharpness and not content_only:
        s_b = np.array([[oneplus(x) for x in row] for row in take(V, R)])
        s_f = np.array([[oneplus(x) for x in row] for row in take(V, R)])
    assert not xi
    return Interface(
        *(k_r, beta_r, k_w, beta_w, e, nu, f, g_a, g_w, pi),
        *(m_r, m_w, s_b, s_f),
    )


# Networks


def dense(x, kernel, bias):
    outputs = range(len(bias))
    inputs = range(len(x))
    return np.array(
        [sum(x[i] * kernel[i, o] for i in inputs) + bias[o] for o in outputs]
    )


def lstm(x, states, kernel, recurrent_kernel, bias):
    """One step; the gates stand in Keras' order: input, forget, cell, output.

    Returns the output and the new states [h, c].
    """
    h, c = states
    z = dense(x, kernel, bias) + dense(h, recurrent_kernel, np.zeros(len(bias)))
    i, f, g, o = np.split(z, 4)
    c = sigmoids(f) * c + sigmoids(i) * np.tanh(g)
    h = sigmoids(o) * np.tanh(c)
    return h, [h, c]


def gru(x, states, kernel, recurrent_kernel, bias):
    """One step in Keras' default form, which resets after the product.

    Returns the output and the new states [h].
    """
    (h,) = states
    x_z, x_r, x_h = np.split(dense(x, kernel, bias[0]), 3)
    h_z, h_r, h_h = np.split(dense(h, recurrent_kernel, bias[1]), 3)
    z = sigmoids(x_z + h_z)
    candidate = np.tanh(x_h + sigmoids(x_r + h_r) * h_h)
    h = z * h + (1 - z) * candidate
    return h, [h]


def layer_normalization(h, gamma, beta, epsilon=1e-3):
    mean = sum(h) / len(h)
    variance = sum((h_i - mean) ** 2 for h_i in h) / len(h)
    return (h - mean) / math.sqrt(variance + epsilon) * gamma + beta


# The whole DNC


def memory_step(
    parts, state, similarity=cosine, deallocation=False, num_links=None
):
    """Writes and reads once; returns all of the state but the controller's.

    Without read modes reading is by content alone, and links and precedence
    stay as they were. With `num_links` the links are sparse.
    """
    M, u, p, L, w_w, w_r, _, _ = state
    V, R = len(w_w), len(w_r)

    def content(M, k, beta, masks, head):
        def masked(k, m):
            return masked_cosine(k, m, masks[head])

        D = masked if len(masks) else similarity
        return content_weighting(M, k[head], beta[head], D)

    psi = retention(parts.f, w_r)
    u = usage(u, w_w, psi)
    a = allocation_weightings(u, parts.g_a, parts.g_w)
    w_w = np.zeros_like(w_w)
    for v in range(V):
        c = content(M, parts.k_w, parts.beta_w, parts.m_w, v)
        w_w[v] = write_weighting(a[v], c, parts.g_a[v], parts.g_w[v])
    if deallocation:
        M = np.array([psi[n] * M[n] for n in range(len(M))])
    M = erase_and_write(M, w_w, parts.e, parts.nu)

    reads_links = len(parts.pi) > 0
    if reads_links and num_links is None:
        L = np.array([link(L[v], p[v], w_w[v]) for v in range(V)])
    elif reads_links:
        L = [sparse_link(L[v], p[v], w_w[v], num_links) for v in range(V)]
        L = np.array(L)
    if reads_links:
        p = np.array([precedence(p[v], w_w[v]) for v in range(V)])
    new_w_r = np.zeros_like(w_r)
    for i in range(R):
        c = content(M, parts.k_r, parts.beta_r, parts.m_r, i)
        if not reads_links:
            new_w_r[i] = c
            continue
        b = np.array([backward_weighting(L[v], w_r[i]) for v in range(V)])
        f = np.array([forward_weighting(L[v], w_r[i]) for v in range(V)])
        if len(parts.s_f):
            b = np.array([sharpened(b[v], parts.s_b[v, i]) for v in range(V)])
            f = np.array([sharpened(f[v], parts.s_f[v, i]) for v in range(V)])
        new_w_r[i] = read_weighting(b, c, f, parts.pi[i])
    r = np.array([read(M, new_w_r[i]) for i in range(R)])
    return State(M, u, p, L, w_w, new_w_r, r, [])


def lstm_controller(weights):
    """The controller of a DNC whose weights have Keras' names."""

    def controller(x, states):
        return lstm(
            x,
            states,
            weights["controller/kernel"],
            weights["controller/recurrent_kernel"],
            weights["controller/bias"],
        )

    return controller


def step(
    weights,
    x,
    state,
    controller=None,
    normalization=None,
    clip_value=20.0,
    similarity=cosine,
    interface_normalization=None,
    of_interface=None,
    of_memory=None,
):
    """One time step of one example; returns (y, state).

    `weights` maps names such as "interface/projection/kernel" to arrays;
    `controller` maps (x, states) to (h, states), by default an LSTM step;
    `normalization` maps h to h, `interface_normalization` ξ to ξ;
    `of_interface` and `of_memory` are more arguments of `interface` and of
    `memory_step`.
    """
    controller = controller or lstm_controller(weights)
    W, R, V = state.M.shape[1], len(state.w_r), len(state.w_w)

    x = np.concatenate([x, *state.r])
    h, controller_states = controller(x, state.controller)
    if normalization is not None:
        h = normalization(h)
    if clip_value is not None:
        h = np.array([min(max(h_i, -clip_value), clip_value) for h_i in h])

    xi = dense(
        h,
        weights["interface/projection/kernel"],
        weights["interface/projection/bias"],
    )
    if interface_normalization is not None:
        xi = interface_normalization(xi)
    parts = interface(xi, W, R, V, **(of_interface or {}))
    state = memory_step(parts, state, similarity, **(of_memory or {}))
    y = dense(
        np.concatenate([h, *state.r]),
        weights["output_projection/kernel"],
        weights["output_projection/bias"],
    )
    return y, state._replace(controller=controller_states)


def sequence(weights, x, state, **how):
    """All steps of a batch: x (B, T, X), every part of the state (B, ...).

    Returns the outputs (B, T, Y) and the final state, a batch again.
    """
    outputs, states = [], []
    for b in range(len(x)):
        one = State(
            *(part[b] for part in state[:-1]),
            [part[b] for part in state.controller],
        )
        y = []
        for x_t in x[b]:
            y_t, one = step(weights, x_t, one, **how)
            y.append(y_t)
        outputs.append(y)
        states.append(one)
    return np.array(outputs), stack(states)


def stack(states):
    """A batch of the states of single examples."""
    parts = [np.array(part) for part in list(zip(*states, strict=True))[:-1]]
    controllers = zip(*(state.controller for state in states), strict=True)
    return State(*parts, [np.array(part) for part in controllers])


# Random states


def random_state(rng, N, W, R, V, B=1, controller=()):
    """A batch of states as a DNC could have reached them.

    The usages of an example are distinct: no two nearer than 1 / (4N).
    Weightings and precedences sum to at most 1, and so does each row of the
    links, and each column together with the slot's precedence; the diagonal of
    the links is zero. `controller` holds the widths of the controller's states.
    """
    p = random_weightings(rng, B, V, N)
    return State(
        M=rng.normal(size=(B, N, W)),
        u=distinct_usages(rng, B, N),
        p=p,
        L=random_links(rng, p),
        w_w=random_weightings(rng, B, V, N),
        w_r=random_weightings(rng, B, R, N),
        r=rng.normal(size=(B, R, W)),
        controller=[rng.uniform(-1, 1, size=(B, size)) for size in controller],
    )


def random_weightings(rng, B, heads, N):
    """Distributions over the slots, each times a number in [0, 1]."""
    shares = rng.dirichlet(np.ones(N), size=(B, heads))
    return shares * rng.uniform(size=(B, heads, 1))


def distinct_usages(rng, B, N):
    """The middles of N equal intervals of [0, 1], moved by 3/8 of one."""
    order = np.array([rng.permutation(N) for _ in range(B)])
    return (order + 0.5 + rng.uniform(-3 / 8, 3 / 8, size=(B, N))) / N


def random_links(rng, p):
    """Links that may stand beside the precedences p (B, V, N)."""
    B, V, N = p.shape
    L = rng.uniform(size=(B, V, N, N)) * rng.uniform(size=(B, V, 1, N))
    for n in range(N):
        L[:, :, n, n] = 0
    columns = L.sum(axis=2, keepdims=True)
    room = 1 - p[:, :, None, :]
    L = L * np.minimum(1, room / np.maximum(columns, EPSILON))
    rows = L.sum(axis=3, keepdims=True)
    return L / np.maximum(1, rows)
