# Block by block over a timing session: how slow the machine was, and the trend.
load 'plots/style.gp'
load 'data/settings.gp'
W = 900
panel = 260.0
H = 65 + drift_panels * (panel + 15)

do for [kind in "svg png"] {
    eval terminal(kind, 'drift', W, H)
    set multiplot
    set lmargin at screen 85.0 / W
    set rmargin at screen (W - 20.0) / W
    set xrange [-0.02 * drift_longest : 1.02 * drift_longest]
    set yrange [drift_low:drift_high]
    eval 'set ytics '.drift_y_ticks
    set ylabel 'block against typical (%)'
    do for [p=1:drift_panels] {
        set tmargin at screen (H - 10 - (p - 1) * (panel + 15)) / H
        set bmargin at screen (H - 10 - (p - 1) * (panel + 15) - panel) / H
        eval 'set xtics '.drift_x_ticks
        if (p < drift_panels) { set xtics ('' 0) }
        set xlabel (p == drift_panels ? drift_unit.' since the first block' : '')
        set arrow 1 from graph 0, first 0 to graph 1, first 0 nohead back linewidth 1.2 linecolor rgb '#606060'
        plot 'data/drift.tsv' index p-1 using 2:7:8 with filledcurves fillstyle transparent solid 0.25 noborder linecolor rgb '#0072b2', \
             '' index p-1 using 2:4:(0):($5 - $4) with vectors nohead linewidth 1.2 linecolor rgb '#b0b0b0', \
             '' index p-1 using 2:6 with lines linewidth 2 linecolor rgb '#0072b2', \
             '' index p-1 using 2:3 with points pointtype 7 pointsize 0.6 linecolor rgb '#202020'
    }
    unset multiplot
    unset output
}
