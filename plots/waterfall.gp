# From the baseline's profiled step to that of another config, op by op: a panel per config.
load 'plots/style.gp'
load 'data/settings.gp'
columns = waterfall_panels > 1 ? 2 : 1
lines = (waterfall_panels + columns - 1) / columns
names = 135.0
panel_w = columns > 1 ? 370.0 : 600.0
panel_h = 21.0 * waterfall_rows + 8
W = 5 + columns * (names + panel_w + 25)
line_h = panel_h + 95
H = lines * line_h + 5

panel_left(p) = 5 + names + ((p - 1) % columns) * (names + panel_w + 25)
panel_top(p) = H - 40 - ((p - 1) / columns) * line_h

do for [kind in "svg png"] {
    eval terminal(kind, 'waterfall', W, H)
    set multiplot
    do for [p=1:waterfall_panels] {
        rows = value(sprintf('waterfall_rows_%d', p))
        set lmargin at screen panel_left(p) / W
        set rmargin at screen (panel_left(p) + panel_w) / W
        set tmargin at screen panel_top(p) / H
        set bmargin at screen (panel_top(p) - panel_h) / H
        set xrange [value(sprintf('waterfall_low_%d', p)):value(sprintf('waterfall_high_%d', p))]
        eval 'set xtics '.value(sprintf('waterfall_ticks_%d', p))
        set yrange [waterfall_rows + 0.5 : 0.5]
        set ytics scale 0
        set grid x noy
        set xlabel 'change of the profiled step (ms), ← faster' offset 0,0.3
        set arrow 1 from 0, graph 0 to 0, graph 1 nohead back linewidth 1.2 linecolor rgb '#606060'
        plot 'data/waterfall.tsv' index p-1 using 3:1:3:4:($1 - 0.34):($1 + 0.34):5:ytic(2) with boxxyerror linecolor rgb variable, \
             '' index p-1 using 4:($1 + 0.34):(0):($1 < rows - 1 ? 0.32 : 0) with vectors nohead linewidth 1 linecolor rgb '#808080', \
             '' index p-1 using ($8 == 0 ? $7 : NaN):1:6 with labels left offset 0.4,0 font ',12' textcolor rgb '#202020', \
             '' index p-1 using ($8 == 1 ? $7 : NaN):1:6 with labels right offset -0.4,0 font ',12' textcolor rgb '#202020', \
             'data/waterfall_titles.tsv' using ($1 == p ? value(sprintf('waterfall_low_%d', p)) : NaN):(0.5):2 with labels left offset 0,1.5 font ',14' textcolor rgb '#202020', \
             '' using ($1 == p ? value(sprintf('waterfall_low_%d', p)) : NaN):(0.5):3 with labels left offset 0,0.6 font ',12' textcolor rgb '#606060'
        unset arrow 1
    }
    unset multiplot
    unset output
    set xtics; set ytics
    load 'plots/style.gp'
}
