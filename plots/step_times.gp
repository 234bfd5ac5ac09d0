# Distribution of the timed steps: density, box and single outliers of every config.
load 'plots/style.gp'
load 'data/settings.gp'
W = 900
H = 95 + 48 * n
left = label_px + 25.0

array colors[n + 1]
stats 'data/entries.tsv' using (colors[int($1)] = $3, 0) nooutput
beyond = step_beyond eq '0' ? '' : sprintf(', steps beyond the frame: %s', step_beyond)

do for [kind in "svg png"] {
    eval terminal(kind, 'step_times', W, H)
    set lmargin at screen left / W
    set rmargin at screen 1 - 30.0 / W
    set bmargin at screen 70.0 / H
    set tmargin at screen 1 - 10.0 / H
    if (step_log) { set logscale x; set xtics auto } else { eval 'set xtics '.step_ticks }
    set xrange [step_low:step_high]
    set yrange [n + 0.5 : 0.5]
    set ytics scale 0
    set grid x noy
    set xlabel 'time per step (ms), warm-up left out'.(step_log ? ', logarithmic' : '').beyond
    plot for [k=1:n] 'data/step_density.tsv' index k-1 using 1:(k - $2):(k + $2) with filledcurves fillstyle transparent solid 0.3 noborder linecolor rgb colors[k], \
         'data/step_outliers.tsv' using 2:1:3 with points pointtype 7 pointsize 0.25 linecolor rgb variable, \
         'data/step_box.tsv' using 3:1:($7 - $3):(0):10 with vectors nohead linewidth 1.2 linecolor rgb variable, \
         '' using 5:1:4:6:($1 - 0.1):($1 + 0.1):ytic(2) with boxxyerror fillstyle solid 1.0 border linecolor rgb '#404040' fillcolor rgb '#ffffff', \
         '' using 5:($1 - 0.1):(0):(0.2) with vectors nohead linewidth 2.2 linecolor rgb '#202020', \
         '' using 8:1:10 with points pointtype 13 pointsize 0.65 linecolor rgb variable
    unset output
}
