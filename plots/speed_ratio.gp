# Change of each config's step time against the baseline, with 95 % intervals.
load 'plots/style.gp'
load 'data/settings.gp'
left = speed_ratio_label_px + 25.0
text = 265.0
W = left + 560 + text
H = 90 + 30 * speed_ratio_n

do for [kind in "svg png"] {
    eval terminal(kind, 'speed_ratio', W, H)
    set lmargin at screen left / W
    set rmargin at screen 1 - text / W
    set bmargin at screen 65.0 / H
    set tmargin at screen 1 - 10.0 / H
    set xrange [speed_ratio_low:speed_ratio_high]
    eval 'set xtics '.speed_ratio_ticks
    set yrange [speed_ratio_n + 0.5 : 0.5]
    set ytics scale 0
    set grid x noy
    set xlabel 'step time against the baseline (%), ← faster'
    set clip two
    unset arrow
    unset object
    set object 1 rectangle from first -0.5, graph 0 to first 0.5, graph 1 behind fillcolor rgb '#dedede' fillstyle solid 1.0 noborder
    set arrow 1 from first 0, graph 0 to first 0, graph 1 nohead back linewidth 1.2 linecolor rgb '#606060'
    if (speed_ratio_floor > 0) {
        set arrow 2 from first speed_ratio_floor, graph 0 to first speed_ratio_floor, graph 1 nohead back dashtype 2 linewidth 1 linecolor rgb '#606060'
        set arrow 3 from first -speed_ratio_floor, graph 0 to first -speed_ratio_floor, graph 1 nohead back dashtype 2 linewidth 1 linecolor rgb '#606060'
    }
    plot 'data/speed_ratio.tsv' using 3:1:4:5:8:ytic(2) with xerrorbars pointtype 7 pointsize 0.5 linewidth 1.8 linecolor rgb variable, \
         '' using 7:1 with points pointtype 12 pointsize 1.2 linewidth 1.4 linecolor rgb '#303030', \
         '' using (speed_ratio_high):1:6 with labels left offset 1,0 font ',12' textcolor rgb '#202020'
    unset output
}
