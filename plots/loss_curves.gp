# Validation loss over steps, tokens, seconds and FLOPs: four panels and one legend.
load 'plots/style.gp'
load 'data/settings.gp'
legend = (loss_has_floor && label_px < 160 ? 160 : label_px) + 60
# Bands end at the frame: gnuplot's own clipping of filled curves leaves stray triangles.
framed(y) = y > loss_y_max ? loss_y_max : y
W = 900 + legend
row_px = 20
H = 760 > 80 + row_px * (n + 1) ? 760 : 80 + row_px * (n + 1)
panel_w = 360.0
panel_h = H / 2.0 - 88

panel_left(i) = 75 + (i % 2) * (panel_w + 75)
panel_bottom(i) = H - 20 - panel_h - (i / 2) * (panel_h + 78)
margins(i) = sprintf("set lmargin at screen %g; set rmargin at screen %g; set bmargin at screen %g; set tmargin at screen %g", \
    panel_left(i) / W, (panel_left(i) + panel_w) / W, panel_bottom(i) / H, (panel_bottom(i) + panel_h) / H)

array colors[n + 1]
array dashes[n + 1]
stats 'data/entries.tsv' using (colors[int($1)] = $3, dashes[int($1)] = $5, 0) nooutput

array x_max[4] = [loss_steps_max, loss_tokens_max, loss_seconds_max, loss_flops_max]
array x_ticks[4] = [loss_steps_ticks, loss_tokens_ticks, loss_seconds_ticks, loss_flops_ticks]
array x_names[4] = ['optimiser steps', 'training tokens', 'training time (s)', 'exact training FLOPs']

do for [kind in "svg png"] {
    eval terminal(kind, 'loss_curves', W, H)
    set multiplot
    set yrange [loss_y_min:loss_y_max]
    eval 'set ytics '.loss_y_ticks
    do for [i=0:3] {
        eval margins(i)
        set xrange [0:x_max[i + 1]]
        eval 'set xtics '.x_ticks[i + 1]
        set xlabel x_names[i + 1]
        set ylabel (i % 2 ? '' : 'validation loss (nats/token)') offset 0.5,0
        column = i + 1
        plot for [k=1:n] 'data/loss.tsv' index k-1 using column:(framed($6)):(framed($7)) with filledcurves fillstyle transparent solid 0.15 noborder linecolor rgb colors[k], \
             for [k=1:n] '' index k-1 using column:5 with lines linewidth 1.8 dashtype int(dashes[k]) linecolor rgb colors[k], \
             loss_has_floor ? loss_floor : NaN with lines linewidth 1.2 dashtype 2 linecolor rgb '#606060'
    }
    # The legend, drawn in an empty panel as wide as the names need.
    set lmargin at screen (W - legend + 5.0) / W
    set rmargin at screen (W - 5.0) / W
    set bmargin at screen 0.02
    set tmargin at screen 1.0 - 15.0 / H
    unset border; unset tics; unset grid; unset xlabel; unset ylabel
    set xrange [0:legend - 10]
    set yrange [H * 0.98 - 15 : 0]
    plot for [k=1:n] 'data/entries.tsv' using (4):(12 + row_px * ($1 - 1)):(28):(0) every ::(k-1)::(k-1) with vectors nohead linewidth 2.5 dashtype int(dashes[k]) linecolor rgb colors[k], \
         '' using (38):(12 + row_px * ($1 - 1)):2 with labels left font ',12' textcolor rgb '#202020', \
         '+' using (4):(12 + row_px * n):(28):(0) every ::0::0 with vectors nohead linewidth (loss_has_floor ? 1.2 : 0) dashtype 2 linecolor rgb (loss_has_floor ? '#606060' : '#ffffff'), \
         '+' using (38):(12 + row_px * n):(loss_has_floor ? 'entropy floor '.loss_floor_text : '') every ::0::0 with labels left font ',12' textcolor rgb '#202020'
    unset multiplot
    unset output
    set xtics; set ytics
    load 'plots/style.gp'
}
