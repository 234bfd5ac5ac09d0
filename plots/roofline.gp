# Ops by FLOPs per byte and FLOP/s achieved; beside it those without FLOPs, by bytes moved.
load 'plots/style.gp'
load 'data/settings.gp'
names = 145.0
half = 250.0
W = roofline_right + 20 + names + half + 70
H = roofline_top + 20
left = roofline_right + 20 + names
top = roofline_top
bottom = roofline_rows > 0 && 26 * roofline_rows < top - roofline_bottom ? top - 26.0 * roofline_rows : roofline_bottom
faded(color) = color + 0x70000000

do for [kind in "svg png"] {
    eval terminal(kind, 'roofline', W, H)
    set multiplot
    set lmargin at screen roofline_left * 1.0 / W
    set rmargin at screen roofline_right * 1.0 / W
    set bmargin at screen roofline_bottom * 1.0 / H
    set tmargin at screen roofline_top * 1.0 / H
    set logscale xy
    set xrange [roofline_x_min:roofline_x_max]
    set yrange [roofline_y_min:roofline_y_max]
    eval 'set xtics '.roofline_x_ticks
    eval 'set ytics '.roofline_y_ticks
    set xlabel 'FLOPs per byte that must be moved     ( ● forward  ■ backward )'
    set ylabel 'GFLOP/s achieved' offset -0.5,0
    if (roofline_points > 0) {
        plot 'data/roofline_roofs.tsv' using 1:2 with lines linewidth (roofline_roofs > 0 ? 1.4 : 0) dashtype 2 linecolor rgb '#606060', \
             'data/roofline_roof_labels.tsv' using 1:2:3 with labels left offset 0,0.6 font ',12' textcolor rgb '#606060', \
             'data/roofline_names.tsv' using 1:2:3:4 with vectors nohead linewidth 0.7 linecolor rgb '#a0a0a0', \
             'data/roofline.tsv' using ($1 == 0 ? $2 : NaN):3:5:(faded($4)) with points pointtype variable pointsize 0.55 linecolor rgb variable, \
             '' using ($1 == 1 ? $2 : NaN):3:5:4 with points pointtype variable pointsize 1.2 linecolor rgb variable, \
             'data/roofline_names.tsv' using 5:6:7 with labels left font ',12' textcolor rgb '#202020'
    }
    unset ylabel
    if (roofline_rows > 0) {
        set lmargin at screen left / W
        set rmargin at screen (left + half) / W
        set tmargin at screen top * 1.0 / H
        set bmargin at screen bottom * 1.0 / H
        unset logscale y
        set xrange [roofline_bytes_min:roofline_bytes_max]
        set yrange [roofline_rows + 0.5 : 0.5]
        eval 'set xtics '.roofline_bytes_ticks
        set ytics scale 0 auto
        set xlabel 'GB/s of the bytes that must be moved'
        plot 'data/roofline_roof_labels.tsv' using 4:(roofline_rows + 0.5):(0):(-roofline_rows) with vectors nohead linewidth 1.4 dashtype 2 linecolor rgb '#606060', \
             '' using 4:(0.5):5 with labels center offset 0,0.6 font ',12' textcolor rgb '#606060', \
             'data/roofline_bytes.tsv' using ($1 == 0 ? $4 : NaN):2:(faded($5)):ytic(3) with points pointtype 7 pointsize 0.55 linecolor rgb variable, \
             '' using ($1 == 1 ? $4 : NaN):2:5:ytic(3) with points pointtype 7 pointsize 1.2 linecolor rgb variable, \
             '' using (roofline_bytes_max):2:6 with labels left offset 0.8,0 font ',12' textcolor rgb '#202020'
    }
    unset multiplot
    unset output
    unset logscale
    set xtics; set ytics
    load 'plots/style.gp'
}
