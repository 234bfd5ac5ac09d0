# Milliseconds per step by op, stacked, from the profiled steps.
load 'plots/style.gp'
load 'data/settings.gp'
legend = 170
W = 900 + legend
H = 95 + 36 * n
H = H < 95 + 21 * op_slots ? 95 + 21 * op_slots : H
left = label_px + 25.0

do for [kind in "svg png"] {
    eval terminal(kind, 'op_time', W, H)
    set multiplot
    set lmargin at screen left / W
    set rmargin at screen (W - legend - 20.0) / W
    set bmargin at screen 70.0 / H
    set tmargin at screen 1 - 10.0 / H
    set xrange [0:op_max * 1.1]
    eval 'set xtics '.op_ticks
    set yrange [n + 0.5 : 0.5]
    set ytics scale 0
    set grid x noy
    set clip two
    set xlabel 'time per step (ms)'
    plot 'data/op_time.tsv' using 5:1:5:6:($1 - 0.36):($1 + 0.36):7:ytic(2) with boxxyerror fillstyle solid 1.0 border linecolor rgb '#ffffff' fillcolor rgb variable, \
         '' using (($5 + $6) / 2):1:8:9 with labels font ',11' textcolor rgb variable, \
         'data/op_total.tsv' using 2:($1 - 0.24):3:4 with xerrorbars pointtype 0 linewidth 1.4 linecolor rgb '#202020', \
         'data/op_time.tsv' using (stringcolumn(3) eq 'unattributed' ? $6 : NaN):($1 + 0.08):($6 > 0 ? sprintf('%.3g', $6) : 'not profiled') with labels left offset 0.6,0 font ',12' textcolor rgb '#202020'
    set lmargin at screen (W - legend + 0.0) / W
    set rmargin at screen (W - 5.0) / W
    unset border; unset tics; unset grid; unset xlabel; unset ylabel
    set xrange [0:legend - 5]
    set yrange [H - 80 : 0]
    plot 'data/op_legend.tsv' using (8):(12 + 21 * ($1 - 1)):(2):(15):(5 + 21 * ($1 - 1)):(19 + 21 * ($1 - 1)):3 with boxxyerror linecolor rgb variable, \
         '' using (22):(12 + 21 * ($1 - 1)):2 with labels left font ',12' textcolor rgb '#202020'
    unset multiplot
    unset output
    set xtics; set ytics
    load 'plots/style.gp'
}
