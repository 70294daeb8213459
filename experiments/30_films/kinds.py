"""The kinds of films: each makes a film of heads and a random generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from made_films import SIZE, Cover, Film, Head, Pose

W, H = SIZE
Maker = Callable[[list[Head], np.random.Generator], Film]
SKIN = (196, 150, 120)


def still(x=W / 2, y=H / 2 + 5, width=90.0, sway=6.0, phase=0.0):
    """A head that is never quite at rest."""

    def course(t):
        right, down = sway * np.sin(t / 9 + phase), sway / 2 * np.cos(t / 7 + phase)
        return Pose(x + right, y + down, width, 3 * np.sin(t / 11 + phase))

    return course


def leaves(gap, other):
    """Out at one side, and back after ``gap`` frames at the same or the other side."""

    def make(heads, rng):
        width, v = rng.uniform(70, 100), rng.uniform(5, 9)
        side = rng.choice([-1, 1])
        start = W / 2
        edge = W / 2 + width  # from the middle: quite outside
        out = int(np.ceil(10 + edge / v))
        back = out + gap
        n = back + int(np.ceil(edge / v)) + 12

        def course(t):
            if t < 10:
                off = 0
            elif t < out:
                off = (t - 10) * v
            elif t < back:
                return None
            else:
                off = max(0.0, edge - (t - back) * v) * (-1 if other else 1)
            return Pose(start + side * off, H / 2 + 4 * np.sin(t / 8), width)

        return Film(heads[:1], [course], n)

    return make


def enters(v, half=False):
    """Comes slowly in at a border, and stays half inside or goes on."""

    def make(heads, rng):
        width = rng.uniform(70, 100)
        side = int(rng.integers(0, 4))
        n = 80 if v > 2 else 120

        def course(t):
            # from just outside
            far = (-0.65 if v > 2 else -0.4) * width + v * max(t - 5, 0)
            if half:
                far = min(far, 0.0) if t < 55 else 0 + 3 * (t - 55)
            far = min(far, 0.9 * width)
            x, y = [(far, H / 2), (W - far, H / 2), (W / 2, far * 1.15), (W / 2, H - far * 1.15)][side]
            return Pose(x, y, width)

        return Film(heads[:1], [course], n)

    return make


def zooms(rate):
    """Comes near by a factor a frame, and goes away again."""

    def make(heads, rng):
        lo, hi = np.log(40), np.log(330)
        half = int(np.ceil((hi - lo) / np.log(rate)))

        def course(t):
            u = t - 5
            u = np.clip(u, 0, 2 * half)
            s = lo + np.log(rate) * (u if u < half else 2 * half - u)
            return Pose(240 + 3 * np.sin(t / 9), 250 + 3 * np.cos(t / 9), float(np.exp(s)))

        return Film(heads[:1], [course], 2 * half + 10, size=(480, 480))

    return make


def rolls(speed, reach=45):
    """Rolls to one side, the other and back, by degrees a frame."""

    def make(heads, rng):
        sign = rng.choice([-1, 1])
        n = 10 + int(np.ceil(4 * reach / speed)) + 4

        def course(t):
            a = speed * max(t - 5, 0)
            a = min(a, 4 * reach)
            r = a if a < reach else 2 * reach - a if a < 3 * reach else a - 4 * reach
            return Pose(W / 2 + 3 * np.sin(t / 9), H / 2 + 5, 95, sign * r)

        return Film(heads[:1], [course], n)

    return make


def turns(reach, speed):
    """Turns to one side, stays, turns to the other and back, by degrees a frame."""

    def make(heads, rng):
        facing = min(heads, key=lambda one: abs(one.yaw))
        steps = int(np.ceil(reach / speed))
        times = np.cumsum([8, steps, 6, 2 * steps, 6, steps])
        angles = np.array([0, 1, 1, -1, -1, 0]) * reach * rng.choice([-1, 1])

        def course(t):
            yaw = float(np.interp(t, times, angles))
            return Pose(W / 2 + 4 * np.sin(t / 9), H / 2 + 5, 95, 2 * np.sin(t / 11), yaw)

        return Film([facing], [course], int(times[-1]) + 12)

    return make


def hand(x, y, size, turn=0.0):
    """A blunt shape as of a hand with fingers."""
    out = []
    for a in np.linspace(0, 2 * np.pi, 60, endpoint=False):
        r = 1 + 0.12 * np.cos(5 * a) * (np.sin(a) < 0.2)
        out.append([r * np.cos(a + turn), 1.15 * r * np.sin(a + turn)])
    return np.array(out) * size + [x, y]


def covered(share, speed, stay):
    """A hand comes, stays for frames over the lower half of the face (share 0.5) or over all, and goes."""

    def make(heads, rng):
        width = 90.0
        colour = tuple(int(c) for c in np.clip(np.array(SKIN) * rng.uniform(0.6, 1.15), 0, 255))
        side = rng.choice([-1, 0, 1])
        cx, cy = W / 2, H / 2
        size = 0.75 * width
        to = np.array([cx, cy + (0.0 if share == 1 else 0.75 * width)])
        start = to + np.array([side * 2.6 * width, 0 if side else 2.6 * width])
        way = np.linalg.norm(start - to)
        steps = int(np.ceil(way / speed))

        def covers(t):
            u = t - 10
            if u < 0:
                return []
            if u < steps:
                k = u / steps
            elif u < steps + stay:
                k = 1
            elif u < 2 * steps + stay:
                k = 1 - (u - steps - stay) / steps
            else:
                return []
            p = start + k * (to - start)
            return [Cover(hand(*p, size), colour)]

        return Film(heads[:1], [still(cx, cy, width, 3)], 10 + 2 * steps + stay + 12, covers=covers)

    return make


def swaps(speed, apart=0.0):
    """Two walk past each other, one before the other or below."""

    def make(heads, rng):
        width = 75.0

        def a(t):
            return Pose(min(100 + speed * max(t - 8, 0), 284), H / 2 - apart / 2, width)

        def b(t):
            return Pose(max(284 - speed * max(t - 8, 0), 100), H / 2 + apart / 2, width * 1.1)

        return Film(heads[:2], [a, b], 8 + int(184 / speed) + 14)

    return make


def leaps_swap(heads, rng):
    """Two change their places between two frames, as in a jerky stream."""

    def a(t):
        return Pose(100 if t < 30 else 284, H / 2, 80)

    def b(t):
        return Pose(284 if t < 30 else 100, H / 2, 80)

    return Film(heads[:2], [a, b], 60)


def posters(max_faces):
    """Walks before two photos on a wall."""

    def make(heads, rng):
        walls = [(heads[1], Pose(70, 80, 50)), (heads[2], Pose(310, 80, 44))]

        def course(t):
            return Pose(W / 2 + 130 * np.sin((t - 5) / 14), H / 2 + 55, 85)

        return Film(heads[:1], [course], 80, posters=walls, max_faces=max_faces)

    return make


def flickers(amount, period):
    """Every few frames there is less light."""

    def make(heads, rng):
        return Film(heads[:1], [still()], 50, light=lambda i: 1 - amount * ((i // period) % 2))

    return make


def blurred(speed, shutter=0.6):
    """To and fro by ``speed`` face widths a frame."""

    def make(heads, rng):
        width = 90.0
        period = 2 * np.pi * 60 / (speed * width)

        def course(t):
            return Pose(W / 2 + 60 * np.sin(2 * np.pi * t / period), H / 2 + 5, width, 0)

        return Film(heads[:1], [course], 60, shutter=shutter)

    return make


def walks(t, v, width=85.0):
    """To and fro by pixels a frame."""
    reach = 120.0
    x = abs((t * v + reach) % (4 * reach) - 2 * reach) - reach
    return Pose(W / 2 + x, H / 2 + 10 * np.sin(t / 6), width, 6 * np.sin(t / 8))


def dropped(heads, rng):
    """Every now and then frames repeat, and then up to four are missing."""
    times, t = [], 0.0
    while len(times) < 70:
        if rng.random() < 0.2:
            n = int(rng.integers(1, 5))
            times += [t] * n
            t += n
        t += 1
        times.append(t)
    return Film(heads[:1], [lambda t: walks(t, 5)], 70, times=lambda i: times[i])


def slow_rate(step, v):
    """Only every so many frames is shown."""

    def make(heads, rng):
        return Film(heads[:1], [lambda t: walks(t, v)], 45, times=lambda i: float(step * i), shutter=0)

    return make


def shakes(amount):
    """The camera moves at random, by pixels."""

    def make(heads, rng):
        off = rng.normal(0, amount, (400, 2))
        off = np.clip(off, -50, 50)

        def camera(t):
            i = int(np.floor(t))
            f = t - i
            return tuple((1 - f) * off[i] + f * off[i + 1])

        return Film(heads[:1], [still()], 50, camera=camera, shutter=0.0)

    return make


def coded_as(codec, v=4):
    """Walks in a film that is compressed much."""

    def make(heads, rng):
        return Film(heads[:1], [lambda t: walks(t, v)], 60, codec=codec)

    return make


def light_jumps(low, high=1.0):
    """Sudden light or dark, and back."""

    def make(heads, rng):
        return Film(heads[:1], [still()], 60, light=lambda i: low if 20 <= i < 40 else high)

    return make


def on_its_side(quarter):
    """A film that nobody turned upright."""

    def make(heads, rng):
        return Film(heads[:1], [lambda t: Pose(W / 2 + 5 * np.sin(t / 9), H / 2, 85, quarter)], 40)

    return make


def turns_over(speed):
    """Rolls to upside down and back."""

    def make(heads, rng):
        n = int(np.ceil(360 / speed)) + 14

        def course(t):
            a = min(speed * max(t - 5, 0), 360)
            return Pose(W / 2, H / 2, 80, a if a < 180 else 360 - a)

        return Film(heads[:1], [course], n)

    return make


def tall(heads, rng):
    return Film(
        heads[:1],
        [lambda t: Pose(144 + 30 * np.sin(t / 9), 170 + 10 * np.cos(t / 7), 100, 5 * np.sin(t / 10))],
        50,
        size=(288, 512),
    )


def pan_with_people(heads, rng):
    """The camera pans from one person to another and back."""

    def camera(t):
        return (-200 * (1 - np.cos(np.clip((t - 10) / 60, 0, 1) * 2 * np.pi)), 0)

    return Film(
        heads[:2], [lambda t: Pose(120, H / 2, 80), lambda t: Pose(520, H / 2 + 8, 80)], 90, camera=camera
    )


def cut_to_another(heads, rng):
    def a(t):
        return Pose(W / 2 + 3 * np.sin(t / 5), H / 2, 90) if t < 25 else None

    def b(t):
        return Pose(W / 2 + 8 + 3 * np.sin(t / 5), H / 2 + 4, 88) if t >= 25 else None

    return Film(heads[:2], [a, b], 55, cuts=(25,))


def nods(heads, rng):
    """Up and down fast and small, as one who laughs."""
    return Film(heads[:1], [lambda t: Pose(W / 2, H / 2 + 9 * np.sin(t * 1.9), 90, 5 * np.sin(t * 1.1))], 60)


def stays_out(heads, rng):
    """Leaves for good: nothing is there after."""
    v = 6.0
    return Film(heads[:1], [lambda t: Pose(W / 2 + v * max(t - 5, 0), H / 2, 85) if t < 60 else None], 90)


def fades_in(heads, rng):
    return Film(heads[:1], [still()], 60, light=lambda i: min(1, i / 30))


def crowd(heads, rng):
    poses = [(x, y) for y in (70, 190) for x in (60, 150, 240, 330)]
    n = min(len(heads), 6)
    return Film(heads[:n], [still(x, y, 45, 4, i) for i, (x, y) in enumerate(poses[:n])], 50)


KINDS: dict[str, Maker] = {
    "leaves 0.3 s, same side": leaves(8, False),
    "leaves 1 s, same side": leaves(25, False),
    "leaves 3 s, same side": leaves(75, False),
    "leaves 0.3 s, other side": leaves(8, True),
    "leaves 1 s, other side": leaves(25, True),
    "leaves 3 s, other side": leaves(75, True),
    "leaves for good": stays_out,
    "enters 1 px a frame": enters(1.0),
    "enters 3 px a frame": enters(3.0),
    "half inside": enters(3.0, half=True),
    "zoom 5 % a frame": zooms(1.05),
    "zoom 10 % a frame": zooms(1.10),
    "zoom 20 % a frame": zooms(1.20),
    "roll 3 deg a frame": rolls(3),
    "roll 6 deg a frame": rolls(6),
    "roll 12 deg a frame": rolls(12),
    "roll 20 deg a frame": rolls(20),
    "turns to 30 deg": turns(30, 3),
    "turns to 45 deg": turns(45, 3),
    "turns to 60 deg": turns(60, 3),
    "turns to 75 deg, fast": turns(75, 8),
    "hand over half, slow": covered(0.5, 8, 15),
    "hand over all, slow": covered(1, 6, 15),
    "hand over all, fast": covered(1, 25, 8),
    "hand over all 1.5 s": covered(1, 12, 37),
    "swap slowly": swaps(4),
    "swap fast": swaps(12),
    "swap past each other": swaps(6, 60),
    "swap in a leap": leaps_swap,
    "posters": posters(8),
    "posters, --faces 1": posters(1),
    "flicker 30 %": flickers(0.3, 1),
    "flicker 70 %": flickers(0.7, 2),
    "blur 0.1 widths": blurred(0.1),
    "blur 0.2 widths": blurred(0.2),
    "blur 0.35 widths": blurred(0.35, 1.0),
    "dropped frames": dropped,
    "5 a second": slow_rate(5, 3),
    "5 a second, fast": slow_rate(5, 6),
    "shake 4 px": shakes(4),
    "shake 10 px": shakes(10),
    "shake 20 px": shakes(20),
    "mjpeg quality 10": coded_as("mjpeg:10"),
    "mjpeg quality 4": coded_as("mjpeg:4"),
    "mpeg4 60 kbit/s": coded_as("mpeg4:60000"),
    "h264 100 kbit/s": coded_as("libx264:100000"),
    "light to a quarter": light_jumps(0.25),
    "light to a tenth": light_jumps(0.1),
    "light to 2.5": light_jumps(2.5),
    "fades in": fades_in,
    "on its side, 90": on_its_side(90),
    "on its side, -90": on_its_side(-90),
    "upside down": on_its_side(180),
    "turns over, 6 deg a frame": turns_over(6),
    "tall": tall,
    "pan between two": pan_with_people,
    "cut to another": cut_to_another,
    "nods": nods,
    "crowd": crowd,
}
