# step_avg of every config, and below it what exact FLOPs predict from the baseline's.
load 'plots/style.gp'
load 'data/settings.gp'
W = 900
H = 95 + 46 * n
left = label_px + 25.0
right = 30

do for [kind in "svg png"] {
    eval terminal(kind, 'step_avg', W, H)
    set lmargin at screen left / W
    set rmargin at screen 1 - right * 1.0 / W
    set bmargin at screen 70.0 / H
    set tmargin at screen 1 - 10.0 / H
    # Room for the text that follows the longest bar.
    set xrange [0:step_avg_max * (W - left - right) / (W - left - right - 190.0)]
    eval 'set xtics '.step_avg_ticks
    set yrange [n + 0.5 : 0.5]
    set ytics scale 0
    set grid x noy
    set xlabel 'step_avg (ms), ← faster'
    set clip two
    unset arrow
    if (step_avg_base > 0) { set arrow from first step_avg_base, graph 0 to first step_avg_base, graph 1 nohead back dashtype 2 linewidth 1.2 linecolor rgb '#606060' }
    plot 'data/step_avg.tsv' using (0):1:(0):3:($1 - 0.4):($1 + 0.08):9:ytic(2) with boxxyerror linecolor rgb variable, \
         '' using (0):1:(0):7:($1 + 0.1):($1 + 0.36) with boxxyerror fillstyle solid 1.0 border linecolor rgb '#909090' fillcolor rgb '#dcdcdc', \
         '' using 3:($1 - 0.16):4:5 with xerrorbars pointtype 0 linewidth 1.4 linecolor rgb '#404040', \
         '' using ($5 > $3 && $5 < 1.25 * $3 ? $5 : $3):($1 - 0.16):6 with labels left boxed offset 0.8,0 textcolor rgb '#202020', \
         '' using 7:($1 + 0.23):8 with labels left boxed offset 0.8,0 font ',12' textcolor rgb '#606060'
    unset output
}
