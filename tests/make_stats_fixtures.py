"""Writes tests/stats_fixtures.h: what SciPy and NumPy say, for tests/test_stats.c.

    python3 tests/make_stats_fixtures.py > tests/stats_fixtures.h

Needs scipy and numpy; the tests themselves need only the header.
"""
import numpy as np
import scipy
from scipy import special, stats

rng = np.random.default_rng(20240613)


def row(values):
    return "{" + ", ".join(f"{float(v):.17g}" for v in values) + "}"


def samples(name, x):
    print(f"static const double {name}[{len(x)}] = {row(x)};")


print("/* Written by tests/make_stats_fixtures.py with SciPy %s and NumPy %s. */" %
      (scipy.__version__, np.__version__))
print("/* clang-format off */")

print("static const struct { double p, df, t; } fixture_t_quantile[] = {")
for df in (1, 2, 2.5, 3, 4, 7, 9.75, 29, 30, 100, 1999, 1e5):
    for p in (0.5, 0.6, 0.9, 0.95, 0.975, 0.995, 0.9995, 0.025, 0.001):
        print("   ", row((p, df, stats.t.ppf(p, df))) + ",")
print("};")

print("static const struct { double t, df, p; } fixture_t_cdf[] = {")
for df in (1, 3, 8.4, 50, 3000):
    for t in (-40, -6, -1.5, -0.01, 0, 0.3, 2.2, 9):
        print("   ", row((t, df, stats.t.cdf(t, df))) + ",")
print("};")

print("static const struct { double a, b, x, value; } fixture_beta[] = {")
for a in (0.5, 1, 3.25, 40):
    for b in (0.5, 2, 17):
        for x in (1e-6, 0.1, 0.5, 0.77, 0.999):
            print("   ", row((a, b, x, special.betainc(a, b, x))) + ",")
print("};")

x = rng.lognormal(5.2, 0.03, 41)
y = rng.lognormal(5.15, 0.08, 23)
samples("sample_x", x)
samples("sample_y", y)
big = 1e9 + rng.normal(0, 1e-2, 12)  # a naive one-pass variance fails here
samples("sample_big", big)

for name, s in (("x", x), ("y", y), ("big", big)):
    low, high = stats.t.interval(0.95, len(s) - 1, np.mean(s), stats.sem(s))
    print(f"static const double expect_{name}[] = " +
          row([np.mean(s), np.std(s, ddof=1), np.median(s), low, high] +
              list(np.quantile(s, [0, 0.05, 0.25, 0.9, 1]))) +
          "; /* mean, sd, median, CI, quantiles 0 .05 .25 .9 1 */")

w = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
print("static const double expect_welch[] = " +
      row([np.mean(x) - np.mean(y), w.low, w.high]) + ";")
w = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.9)
print("static const double expect_welch_90[] = " + row([w.low, w.high]) + ";")
p = stats.ttest_rel(x[:5], y[:5]).confidence_interval(0.95)
print("static const double expect_paired_5[] = " +
      row([np.mean(x[:5] - y[:5]), p.low, p.high]) + ";")

# log mean(x) - log mean(y): the delta method is Welch on the means' relative errors.
ex, ey = stats.sem(x) / x.mean(), stats.sem(y) / y.mean()
df = (ex**2 + ey**2)**2 / (ex**4 / (len(x) - 1) + ey**4 / (len(y) - 1))
half = stats.t.ppf(0.975, df) * np.hypot(ex, ey)
ratio = x.mean() / y.mean()
print("static const double expect_ratio[] = " +
      row([ratio, ratio * np.exp(-half), ratio * np.exp(half)]) + ";")

# Percentile bootstrap: another generator, so only close (the test says how close and why).
for name, f in (("mean", np.mean), ("median", np.median)):
    a = f(rng.choice(x, (200000, len(x))), axis=1)
    b = f(rng.choice(y, (200000, len(y))), axis=1)
    low, high = np.quantile(a / b, [0.025, 0.975])
    print(f"static const double expect_bootstrap_{name}[] = " +
          row([f(x) / f(y), low, high]) + ";")

# SplitMix64's published finaliser, in Python integers.
M = (1 << 64) - 1


def splitmix(seed, counter):
    z = (seed + (counter + 1) * 0x9E3779B97F4A7C15) & M
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
    return z ^ (z >> 31)


print("static const struct { uint64_t seed, counter, value; } fixture_random[] = {")
for seed, counter in ((0, 0), (0, 1), (1234567, 0), (1234567, 4), (M, 10**12)):
    print("    {UINT64_C(%d), UINT64_C(%d), UINT64_C(%d)}," % (seed, counter, splitmix(seed, counter)))
print("};")
print("/* clang-format on */")
