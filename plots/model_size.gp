# Parameters and exact FLOPs per token, side by side.
load 'plots/style.gp'
load 'data/settings.gp'
left = label_px + 25.0
text = 125.0
half = 300.0
W = left + 2 * half + 60
H = 95 + 30 * n

do for [kind in "svg png"] {
    eval terminal(kind, 'model_size', W, H)
    set multiplot
    set bmargin at screen 70.0 / H
    set tmargin at screen 1 - 10.0 / H
    set yrange [n + 0.5 : 0.5]
    set ytics scale 0
    set grid x noy

    set lmargin at screen left / W
    set rmargin at screen (left + half) / W
    set xrange [0:params_max * half / (half - text)]
    eval 'set xtics '.params_ticks
    set xlabel 'parameters'
    plot 'data/model_size.tsv' using (0):1:(0):3:($1 - 0.36):($1 + 0.36):7:ytic(2) with boxxyerror linecolor rgb variable, \
         '' using 3:1:4 with labels left offset 0.6,0 font ',12' textcolor rgb '#202020'

    set lmargin at screen (left + half + 35) / W
    set rmargin at screen (left + 2 * half + 35) / W
    set xrange [0:flops_max * half / (half - text)]
    eval 'set xtics '.flops_ticks
    set format y ''
    unset ytics
    set xlabel 'exact FLOPs per token'
    plot 'data/model_size.tsv' using (0):1:(0):5:($1 - 0.36):($1 + 0.36):7 with boxxyerror linecolor rgb variable, \
         '' using 5:1:6 with labels left offset 0.6,0 font ',12' textcolor rgb '#202020'
    unset multiplot
    unset output
    set format y
}
