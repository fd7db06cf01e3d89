#!/usr/bin/env python3
"""Writes the pictures and tables of this folder: shapes that stand for findings. No patient was ever in front of a camera for them.

Two sources with different labels and different grey levels, as public X-ray sets have:
  a: 8 bits, labels Mass and Nodule; some are left open, one in twenty is uncertain (-1)
  b: 12 bits, labels "Round Opacity" (its word for Mass) and Effusion
A large blurred disc is a mass, a small sharp one a nodule, a bright bottom with a slanting edge an effusion. Needs numpy.
"""
import csv
import gzip
import io
import pathlib

import numpy as np

SIDE, COUNT = 32, 160
HERE = pathlib.Path(__file__).parent


def background(rng):
    """Two dark fields beside a bright middle, and noise."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1.0)
    picture = 0.45 + 0.1 * y
    for centre in (0.27, 0.73):
        picture -= 0.28 * np.exp(-((x - centre) / 0.16) ** 2 - ((y - 0.48) / 0.33) ** 2)
    return picture + rng.uniform(-0.05, 0.05) + rng.normal(0, 0.02, picture.shape)


def disc(picture, rng, radius, softness, brightness):
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    side = rng.choice([0.27, 0.73])
    cx, cy = (side + rng.uniform(-0.1, 0.1)) * SIDE, rng.uniform(0.25, 0.65) * SIDE
    distance = np.hypot(x - cx, y - cy)
    picture += brightness / (1 + np.exp((distance - radius) / softness))


def effusion(picture, rng):
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    level = SIDE * rng.uniform(0.72, 0.8)
    slope = rng.choice([-1, 1]) * rng.uniform(0.15, 0.3)
    picture += 0.3 / (1 + np.exp((level + slope * (x - SIDE / 2) - y) / 0.8))


def source(name, seed, labels, maximum, step):
    rng = np.random.default_rng(seed)
    pictures, rows = [], []
    for number in range(COUNT):
        picture = background(rng)
        present = {label: int(rng.random() < 0.45) for label in labels}
        if present.get("Mass", present.get("Round Opacity", 0)):
            disc(picture, rng, rng.uniform(4.5, 6.5), 1.2, 0.35)
        if present.get("Nodule", 0):
            disc(picture, rng, rng.uniform(1.3, 2.0), 0.3, 0.4)
        if present.get("Effusion", 0):
            effusion(picture, rng)
        levels = np.clip(picture, 0, 1) * maximum
        pictures.append((np.round(levels / step) * step).clip(0, maximum))
        row = {"patient": f"{name}{number // 2:03d}", **present}
        if name == "a":
            for label in labels:
                draw = rng.random()
                row[label] = "" if draw < 0.15 else -1 if draw < 0.2 else row[label]
        rows.append(row)
    array = np.array(pictures).astype(np.uint8 if maximum < 256 else np.uint16)
    raw = io.BytesIO()
    np.save(raw, array)
    with open(HERE / f"{name}.npy.gz", "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as packed:
        packed.write(raw.getvalue())
    with open(HERE / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["patient", *labels], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


source("a", 1, ["Mass", "Nodule"], 255, 4)
source("b", 2, ["Round Opacity", "Effusion"], 4095, 64)
