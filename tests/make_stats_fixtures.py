"""Writes tests/stats_fixtures.h: what SciPy, NumPy and statsmodels say, for tests/test_stats.c,
test_bootstrap.c and test_verdict.c.

    python3 tests/make_stats_fixtures.py > tests/stats_fixtures.h

Needs scipy, numpy and statsmodels; the tests themselves need only the header.
"""
import numpy as np
import scipy
from scipy import integrate, special, stats
from statsmodels.stats.multitest import multipletests

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


# ---- bootstrap, verdicts ----

def uint_rows(name, rows):
    print(f"static const uint32_t {name}[] = {{" + ", ".join(str(int(v)) for r in rows for v in r) +
          "};")


# Blocks with one outlier, as a shaken machine leaves them; the resamples are given as indices so
# that both sides compute on the same draws.
blocks = np.concatenate([rng.normal(0.01, 0.004, 11), [0.9]])
rng.shuffle(blocks)
draws = rng.integers(0, len(blocks), (60, len(blocks)))
samples("block_ratios", blocks)
uint_rows("block_draws", draws)


def trimmed(x, axis=-1):
    return stats.trim_mean(x, 0.2, axis=axis)


def trimmed_error(x):
    """Tukey and McLaughlin's standard error of the 20 % trimmed mean."""
    g = int(0.2 * len(x))
    w = np.asarray(stats.mstats.winsorize(np.sort(x), limits=(g / len(x) + 1e-12,) * 2))
    return np.std(w, ddof=1) / ((1 - 2 * g / len(x)) * np.sqrt(len(x)))


class Drawn:
    """A result that scipy.stats.bootstrap takes up instead of drawing itself."""

    def __init__(self, distribution):
        self.bootstrap_distribution = distribution


for name, f in (("mean", np.mean), ("trimmed", trimmed), ("median", np.median)):
    distribution = f(blocks[draws], axis=-1)
    print(f"static const double expect_resampled_{name}[] = {row(np.sort(distribution))};")
    ends = [f(blocks)]
    for method in ("percentile", "BCa"):
        for level in (0.95, 0.8):
            ci = stats.bootstrap((blocks,), f, n_resamples=0, method=method, vectorized=True,
                                 confidence_level=level,
                                 bootstrap_result=Drawn(distribution)).confidence_interval
            ends += [ci.low, ci.high]
    print(f"static const double expect_blocks_{name}[] = {row(ends)}; /* value; percentile 0.95, "
          "0.8; BCa 0.95, 0.8 */")

value, error = trimmed(blocks), trimmed_error(blocks)
pivots = np.array([abs(trimmed(x) - value) / trimmed_error(x) for x in blocks[draws]])
half95, half80 = np.quantile(pivots, [0.95, 0.8]) * error
print("static const double expect_studentised[] = " +
      row([error, value - half95, value + half95, value - half80, value + half80]) +
      "; /* standard error; 0.95; 0.8 */")
error = stats.sem(blocks)
pivots = np.array([abs(x.mean() - blocks.mean()) / stats.sem(x) for x in blocks[draws]])
half95 = np.quantile(pivots, 0.95) * error
print("static const double expect_studentised_mean[] = " +
      row([error, blocks.mean() - half95, blocks.mean() + half95]) + ";")
for n in (3, 5, 9, 10, 12):
    print(f"static const double expect_trimmed_{n}[] = " +
          row([trimmed(blocks[:n]), trimmed_error(blocks[:n])]) + ";")

print("static const struct { double p, z; } fixture_normal[] = {")
for p in (1e-12, 0.001, 0.025, 0.3, 0.77, 0.975, 0.99958):
    print("   ", row((p, stats.norm.ppf(p))) + ",")
print("};")

# Holm: statsmodels' adjusted p values and decisions.
print("static const struct { double p[6], adjusted[6]; int reject[6]; } fixture_holm[] = {")
for ps in ([0.01, 0.04, 0.03, 0.005, 0.2, 0.9], [0.001, 0.002, 0.003, 0.004, 0.005, 0.006],
           [0.009, 0.0001, 0.011, 0.012, 0.5, 0.0124], [0.05, 0.05, 0.05, 0.05, 0.05, 0.05],
           [0.0083, 0.0099, 0.0124, 0.0166, 0.0249, 0.0499]):
    reject, adjusted, _, _ = multipletests(ps, 0.05, method="holm")
    print("    {" + row(ps) + ", " + row(adjusted) + ", {" +
          ", ".join(str(int(r)) for r in reject) + "}},")
print("};")

# Theil and Sen, with ties in both.
hours = np.array([0, 0.1, 0.2, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0, 1.3, 1.4])
trend = 0.03 * hours + rng.normal(0, 0.01, len(hours))
trend[5] = trend[4]
trend[9] = 0.8
samples("trend_x", hours)
samples("trend_y", trend)
for level in (0.95, 0.8):
    t = stats.theilslopes(trend, hours, level)
    print("static const double expect_theil_sen_%d[] = " % (100 * level) +
          row([t.slope, t.low_slope, t.high_slope]) + ";")
c = trend - trend.mean()
print("static const double expect_lag1 = %.17g;" % (np.sum(c[1:] * c[:-1]) / np.sum(c * c)))

noisy = np.concatenate([rng.gamma(400, 0.25, 60), [180.0, 240.0, 20.0]])
samples("noisy_steps", noisy)
mad = stats.median_abs_deviation(noisy, scale="normal")
deviation = noisy - np.median(noisy)
print("static const double expect_outliers[] = " +
      row([np.median(noisy), mad, np.sum(deviation > 5 * mad), np.sum(-deviation > 5 * mad)]) +
      "; /* median, scaled MAD, above, below */")

# Chance that an interval from n values falls short of a point `reach` standard errors away, when
# the spread was estimated with df degrees of freedom: by SciPy's quadrature.
print("static const struct { double df, distance, alpha, power, least; } fixture_needed[] = {")
for df in (2, 5, 12, np.inf):
    for distance in (0.3, 1.1):
        for alpha in (0.05, 0.05 / 6):
            def power(n):
                t = stats.t.ppf(1 - alpha / 2, n - 1)
                if np.isinf(df):
                    return stats.norm.cdf(distance * np.sqrt(n) - t)
                density = stats.chi(df, scale=1 / np.sqrt(df)).pdf
                return integrate.quad(lambda u: density(u) * stats.norm.cdf(
                    distance * np.sqrt(n) * u - t), 0, 1 + 9 / np.sqrt(df), limit=200)[0]
            n = 2
            while power(n) < 0.9:
                n += 1
            print("    {%s, %.17g, %.17g, 0.9, %d}," %
                  ("INFINITY" if np.isinf(df) else df, distance, alpha, n))
print("};")
print("/* clang-format on */")
