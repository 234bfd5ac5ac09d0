"""Writes tests/two_sample_fixtures.h: what SciPy and NumPy say of two samples that are no pairs, for
tests/test_two_samples.c.

    python3 tests/make_two_sample_fixtures.py > tests/two_sample_fixtures.h

Needs scipy and numpy; the tests themselves need only the header.
"""
import numpy as np
import scipy
from scipy import stats

rng = np.random.default_rng(20251)


def row(values):
    return "{" + ", ".join(f"{float(v):.17g}" for v in values) + "}"


def samples(name, x):
    print(f"static const double {name}[{len(x)}] = {row(x)};")


def uint_rows(name, rows):
    print(f"static const uint32_t {name}[] = {{" + ", ".join(str(int(v)) for r in rows for v in r) +
          "};")


print("/* Written by tests/make_two_sample_fixtures.py with SciPy %s and NumPy %s. */" %
      (scipy.__version__, np.__version__))
print("/* clang-format off */")

# Logarithms of burst times of two sessions; the new one is 3 % slower and was shaken once.
base = np.log(100) + rng.normal(0, 0.004, 14)
new = np.log(103) + np.concatenate([rng.normal(0, 0.006, 10), [0.7]])
rng.shuffle(new)
samples("two_base", base)
samples("two_new", new)

w = stats.ttest_ind(new, base, equal_var=False)
ci = w.confidence_interval(0.95)
print("static const double expect_two_welch[] = " +
      row([new.mean() - base.mean(), ci.low, ci.high, w.df,
           stats.ttest_ind(new - 0.01, base, equal_var=False, alternative="greater").pvalue]) +
      "; /* value, 95 % interval, degrees of freedom, p of `above 0.01` */")


def trimmed(x):
    return stats.trim_mean(x, 0.2, axis=-1)


def yuen_error(x, y):
    """The standard error in SciPy's trimmed t test of two samples (Yuen 1974)."""
    return (trimmed(x) - trimmed(y)) / stats.ttest_ind(x, y, equal_var=False, trim=0.2).statistic


value, error = trimmed(new) - trimmed(base), yuen_error(new, base)
yuen = stats.ttest_ind(new, base, equal_var=False, trim=0.2)
print("static const double expect_two_yuen[] = " + row([value, error, yuen.df]) +
      "; /* value, standard error, degrees of freedom */")

# The resamples are given as indices, so that both sides compute on the same draws.
RESAMPLES = 60
draws_new = rng.integers(0, len(new), (RESAMPLES, len(new)))
draws_base = rng.integers(0, len(base), (RESAMPLES, len(base)))
uint_rows("two_draws_new", draws_new)
uint_rows("two_draws_base", draws_base)
distribution = np.array([trimmed(new[i]) - trimmed(base[j]) for i, j in zip(draws_new, draws_base)])


class Drawn:
    """A result that scipy.stats.bootstrap takes up instead of drawing itself."""

    def __init__(self, resampled):
        self.bootstrap_distribution = resampled


percentile = stats.bootstrap(
    (new, base), lambda x, y, axis=-1: stats.trim_mean(x, 0.2, axis=axis) -
    stats.trim_mean(y, 0.2, axis=axis), n_resamples=0, method="percentile", confidence_level=0.95,
    vectorized=True, bootstrap_result=Drawn(distribution)).confidence_interval
print("static const double expect_two_percentile[] = " + row([percentile.low, percentile.high]) + ";")
pivots = np.array([abs(trimmed(new[i]) - trimmed(base[j]) - value) / yuen_error(new[i], base[j])
                   for i, j in zip(draws_new, draws_base)])
half95, half80 = np.quantile(pivots, [0.95, 0.8]) * error
print("static const double expect_two_studentised[] = " +
      row([value - half95, value + half95, value - half80, value + half80]) + "; /* 0.95; 0.8 */")

# Neighbours that resemble each other, and one that stands out.
walk = np.empty(40)
walk[0] = rng.normal()
for i in range(1, len(walk)):
    walk[i] = 0.7 * walk[i - 1] + rng.normal()
walk[17] += 30
samples("two_walk", walk)
c = np.asarray(stats.mstats.winsorize(walk, limits=(0.2, 0.2)))
c = c - c.mean()
lag1 = np.sum(c[1:] * c[:-1]) / np.sum(c * c)
r = lag1 + (1 + 4 * lag1) / len(c)
worth = len(c) * (1 - r) / (1 + r)
print("static const double expect_two_dependence = %.17g;" %
      (np.sqrt((1 + r) / (1 - r)) * stats.t.ppf(0.975, worth - 1) / stats.t.ppf(0.975, len(c) - 1)))
