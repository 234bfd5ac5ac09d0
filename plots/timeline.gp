# One profiled step, op by op: layers against time, a panel per config, on one scale of time.
load 'plots/style.gp'
load 'data/settings.gp'
names = 125.0
legend = 150.0
W = names + timeline_frame_px + legend + 25
strip = 18.0
gap = 58.0

height(p) = strip + 4 + value(sprintf('timeline_rows_%d', p)) * value(sprintf('timeline_row_px_%d', p))
H = 50.0
do for [p=1:timeline_panels] { H = H + height(p) + gap }
floor_px = 34.0 + 21 * timeline_slots
H = H < floor_px ? floor_px : H

do for [kind in "svg png"] {
    eval terminal(kind, 'timeline', W, H)
    set multiplot
    top = H - 30
    do for [p=1:timeline_panels] {
        rows = value(sprintf('timeline_rows_%d', p))
        px = value(sprintf('timeline_row_px_%d', p))
        set lmargin at screen names / W
        set rmargin at screen (names + timeline_frame_px) / W
        set tmargin at screen top / H
        set bmargin at screen (top - height(p)) / H
        top = top - height(p) - gap
        above = 0.5 - (strip + 4) / px
        set xrange [0:timeline_max]
        eval 'set xtics '.timeline_ticks
        set yrange [rows + 0.5 : above]
        set ytics scale 0
        set grid x noy
        if (p == timeline_panels) { set xlabel 'time since the first op of the step (ms)' offset 0,0.3 } else { unset xlabel }
        plot 'data/timeline_phases.tsv' index p-1 using 1:(above):1:2:(above):(above + strip / px):3 with boxxyerror linecolor rgb variable, \
             '' index p-1 using (($1 + $2) / 2):(above + strip / px / 2):4:5 with labels font ',12' textcolor rgb variable, \
             '' index p-1 using 2:(above):(0):(rows + 0.5 - above) with vectors nohead linewidth 0.6 linecolor rgb '#a8a8a8', \
             'data/timeline.tsv' index p-1 using 2:1:2:3:($1 - 0.45):($1 + 0.45):4 with boxxyerror linecolor rgb variable, \
             'data/timeline_rows.tsv' index p-1 using (0):1:(0):(0):ytic(2) with vectors nohead linewidth 0, \
             'data/timeline_titles.tsv' using ($1 == p ? 0 : NaN):(above):2 with labels left offset 0,0.7 font ',14' textcolor rgb '#202020'
    }
    set lmargin at screen (names + timeline_frame_px + 15.0) / W
    set rmargin at screen (W - 5.0) / W
    set tmargin at screen (H - 30.0) / H
    set bmargin at screen 5.0 / H
    unset border; unset tics; unset grid; unset xlabel; unset ylabel
    set xrange [0:legend + 5]
    set yrange [H - 35 : 0]
    plot 'data/timeline_legend.tsv' using (8):(12 + 21 * ($1 - 1)):(2):(15):(5 + 21 * ($1 - 1)):(19 + 21 * ($1 - 1)):3 with boxxyerror linecolor rgb variable, \
         '' using (22):(12 + 21 * ($1 - 1)):2 with labels left font ',12' textcolor rgb '#202020'
    unset multiplot
    unset output
    set xtics; set ytics
    load 'plots/style.gp'
}
