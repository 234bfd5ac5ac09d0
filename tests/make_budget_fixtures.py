"""Writes tests/budget_fixtures.h: what NumPy and SciPy say, for tests/test_budget.c.

    python3 tests/make_budget_fixtures.py > tests/budget_fixtures.h

Needs scipy and numpy; the tests themselves need only the header.
"""
import numpy as np
import scipy
from scipy import optimize, stats

rng = np.random.default_rng(20240811)
PAIRS, EVALS = 4, 12


def row(values):
    return "{" + ", ".join(f"{float(v):.17g}" for v in values) + "}"


print("/* Written by tests/make_budget_fixtures.py with SciPy %s and NumPy %s. */" %
      (scipy.__version__, np.__version__))
print("/* clang-format off */")

# Validations after 50, 100, ... steps, seconds per step of each run; the config is 20 % faster.
steps = 50.0 * np.arange(1, EVALS + 1)
fall = 6 - 0.55 * np.log(steps)
seed_noise = rng.normal(0, 0.02, (PAIRS, 1))
base = fall + seed_noise + rng.normal(0, 0.01, (PAIRS, EVALS))
config = fall + 0.03 + seed_noise + rng.normal(0, 0.01, (PAIRS, EVALS))
base_s = 0.2 * rng.lognormal(0, 0.01, PAIRS)
config_s = 0.16 * rng.lognormal(0, 0.01, PAIRS)
print(f"enum {{ FIXTURE_PAIRS = {PAIRS}, FIXTURE_EVALS = {EVALS} }};")
for name, x in (("base", base), ("config", config)):
    print(f"static const double fixture_{name}[FIXTURE_PAIRS][FIXTURE_EVALS] = {{")
    for curve in x:
        print("   ", row(curve) + ",")
    print("};")
print(f"static const double fixture_base_s[] = {row(base_s)}, fixture_config_s[] = {row(config_s)};")


def interval(x):
    return (np.mean(x), *stats.t.interval(0.95, len(x) - 1, np.mean(x), stats.sem(x)))


def at(curve, s):
    return np.interp(np.log(s), np.log(steps), curve)


budget = min(steps[-1] * base_s.min(), steps[-1] * config_s.min())
difference = [at(c, budget / cs) - at(b, budget / bs)
              for c, b, cs, bs in zip(config, base, config_s, base_s)]
print("/* at equal seconds: the budget, mean, low, high of the difference */")
print("static const double fixture_equal_seconds[] = " + row((budget, *interval(difference))) + ";")


def first_crossing(curve, loss):
    """By bisection on the interpolated curve, within the first piece that gets there."""
    i = int(np.argmax(curve <= loss))
    assert curve[i] <= loss
    if i == 0 or curve[i] == loss:
        return steps[i]
    f = lambda s: at(curve, s) - loss
    return optimize.brentq(f, steps[i - 1], steps[i], xtol=1e-12, rtol=1e-14)


# A loss that every curve gets below: the baseline's curves cut after 6 validations.
CUT = 6
ratio = []
for c, b, cs, bs in zip(config, base, config_s, base_s):
    target = b[CUT - 1]
    own = first_crossing(b[:CUT], target)
    ratio.append(np.log(first_crossing(c, target) * cs / (own * bs)))
print(f"enum {{ FIXTURE_CUT = {CUT} }};")
print("/* seconds to the loss of the baseline's validation FIXTURE_CUT: ratio, low, high */")
print("static const double fixture_reach_seconds[] = " + row(np.exp(interval(ratio))) + ";")

# On the front of two configs, one lower in loss for certain: the other is when it is faster.
print("static const struct { double speed[2], error[2], p; } fixture_front_speed[] = {")
for a, b, ea, eb in ((100, 101, 0.01, 0.01), (100, 99, 0.02, 0.005), (50, 50, 0.1, 0.2)):
    p = stats.norm.cdf((np.log(b) - np.log(a)) / np.hypot(ea, eb))
    print("    {" + row((a, b)) + ", " + row((ea, eb)) + f", {p:.17g}}},")
print("};")
# The slower one is on the front when its loss is lower: 3 replicates against a loss that is known.
losses = np.array([1.61, 1.64, 1.60])
known = 1.625
p = stats.t.cdf((known - losses.mean()) / stats.sem(losses), 2)
print(f"static const double fixture_front_losses[] = {row(losses)}, fixture_front_known = {known};")
print(f"static const double fixture_front_t = {p:.17g};")
