/* numbers.h: numbers as people read them. Each function returns a small struct with the text, so
 * that it can stand in an argument list: printf("%s", number_count(n).text). Values that are not
 * finite come out as "-". */
#ifndef GPTBENCH_BENCH_NUMBERS_H
#define GPTBENCH_BENCH_NUMBERS_H

#include <stdint.h>

typedef struct number_text {
    char text[32];
} number_text;

/* 123532032 -> "123,532,032". */
number_text number_count(int64_t n);
/* The same after rounding; for rates: 11264.4 -> "11,264". */
number_text number_rounded(double x);
/* Three significant digits and a suffix: 123532032 -> "124M", 7.98e8 -> "798M", 1.6e9 -> "1.60G".
 */
number_text number_short(double x);
/* 805306368 -> "768 MiB"; 1.5 GiB and up with one decimal. */
number_text number_bytes(double bytes);
/* Fraction of 1 with sign: 0.031 -> "+3.1 %", with a true minus sign (U+2212); "0.0 %" for zero. */
number_text number_percent_signed(double fraction);
/* 0.4213 -> "42.1 %". */
number_text number_percent(double fraction);
/* A difference of losses: 0.0012 -> "+0.0012 nats", with six digits behind the point below 0.001.
 */
number_text number_nats_signed(double nats);
/* In 10^9, three significant digits or more: 8.1e10 -> "81.0", 3.9e12 -> "3900". */
number_text number_gigas(double x);
/* Milliseconds in the unit that fits: 0.41 -> "410 us", 12.3 -> "12.3 ms", 61000 -> "61.0 s",
 * 605000 -> "10 min 05 s", then "2 h 03 min". */
number_text number_duration_ms(double ms);
/* Time that has passed, in whole seconds: "12 s", "3 min 05 s", "2 h 03 min". */
number_text number_elapsed_ms(double ms);
/* A guess: "a few s", "about 25 s", "about 2 min", "about 1 h 30 min", "about 3 days". Empty where
 * nothing is known or nothing is left. */
number_text number_about_ms(double ms);

#endif
