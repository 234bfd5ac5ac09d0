# Change of each config's final loss against the baseline, with 95 % t intervals, and its FLOPs.
load 'plots/style.gp'
load 'data/settings.gp'
left = loss_ratio_label_px + 25.0
main = 430.0
text = 255.0
side = 190.0
W = left + main + text + side + 25
H = 90 + 30 * loss_ratio_n

do for [kind in "svg png"] {
    eval terminal(kind, 'loss_ratio', W, H)
    set multiplot
    set bmargin at screen 65.0 / H
    set tmargin at screen 1 - 10.0 / H
    set yrange [loss_ratio_n + 0.5 : 0.5]
    set ytics scale 0
    set grid x noy
    set clip two

    set lmargin at screen left / W
    set rmargin at screen (left + main) / W
    set xrange [loss_ratio_low:loss_ratio_high]
    eval 'set xtics '.loss_ratio_ticks
    set xlabel 'final validation loss against the baseline (%), ← better'
    set object 1 rectangle from first -0.5, graph 0 to first 0.5, graph 1 behind fillcolor rgb '#dedede' fillstyle solid 1.0 noborder
    set arrow 1 from first 0, graph 0 to first 0, graph 1 nohead back linewidth 1.2 linecolor rgb '#606060'
    plot 'data/loss_ratio.tsv' using 3:1:4:5:8:ytic(2) with xerrorbars pointtype 7 pointsize 0.5 linewidth 1.8 linecolor rgb variable, \
         '' using (loss_ratio_high):1:6 with labels left offset 1,0 font ',12' textcolor rgb '#202020'
    unset object 1

    set lmargin at screen (left + main + text) / W
    set rmargin at screen (left + main + text + side) / W
    set xrange [loss_ratio_flops_low:loss_ratio_flops_high]
    eval 'set xtics '.loss_ratio_flops_ticks
    unset ytics
    set xlabel 'exact FLOPs (%)'
    plot 'data/loss_ratio.tsv' using (0):1:(0):7:($1 - 0.3):($1 + 0.3):8 with boxxyerror linecolor rgb variable
    unset arrow 1
    set ytics
    unset multiplot
    unset output
}
