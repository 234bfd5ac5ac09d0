# Throughput against final validation loss, with 95 % intervals and the Pareto front.
load 'plots/style.gp'
load 'data/settings.gp'
W = speed_width
H = speed_height

do for [kind in "svg png"] {
    eval terminal(kind, 'speed_loss', W, H)
    # Labels were placed for exactly this frame.
    set lmargin at screen speed_left / W
    set rmargin at screen speed_right / W
    set bmargin at screen speed_bottom / H
    set tmargin at screen speed_top / H
    set xrange [speed_x_min:speed_x_max]
    set yrange [speed_y_min:speed_y_max]
    eval 'set xtics '.speed_x_ticks
    eval 'set ytics '.speed_y_ticks
    set xlabel 'training throughput (tokens/s), faster →'
    set ylabel 'final validation loss (nats/token), ← better' offset -1.5,0
    # The list of numbered configs stands to the right of the frame.
    unset label
    rows = n > 0 ? n : 1
    list_x = speed_x_max + (speed_x_max - speed_x_min) * 28.0 / (speed_right - speed_left)
    row_y(i) = speed_y_max - (speed_y_max - speed_y_min) * (i - 0.5) / (rows < 24 ? 24 : rows)
    set clip two
    plot 'data/speed_loss_front.tsv' using 1:2 with lines linewidth 1.5 dashtype 2 linecolor rgb '#808080', \
         'data/speed_loss.tsv' using 3:6:13:14 with vectors nohead linewidth 0.7 linecolor rgb '#a0a0a0', \
         '' using 3:6:4:5:9 with xerrorbars pointsize 0 linewidth 1 linecolor rgb variable, \
         '' using 3:6:7:8:9 with yerrorbars pointsize 0 linewidth 1 linecolor rgb variable, \
         '' using 3:6:10:9 with points pointtype variable pointsize 1.1 linecolor rgb variable, \
         '' using 11:12:2 with labels left textcolor rgb '#202020', \
         '' using (speed_numbered ? list_x : NaN):(row_y($1)):10:9 with points pointtype variable pointsize 0.9 linecolor rgb variable, \
         '' using (speed_numbered ? list_x : NaN):(row_y($1)):(sprintf('%d  %s', $1, strcol(15))) with labels left offset 1,0 font ',12' textcolor rgb '#202020'
    unset output
}
