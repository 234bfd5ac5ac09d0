# Throughput against final validation loss, with 95 % intervals and the Pareto front.
load 'plots/style.gp'
load 'data/settings.gp'
W = speed_width
H = speed_height
row_px = n < 26 ? 20.0 : 520.0 / n

do for [kind in "svg png"] {
    eval terminal(kind, 'speed_loss', W, H)
    set multiplot
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
    set ylabel 'final validation loss (nats/token), ← better' offset -0.5,0
    set clip two
    plot 'data/speed_loss_front.tsv' using 1:2 with lines linewidth 1.5 dashtype 2 linecolor rgb '#808080', \
         'data/speed_loss.tsv' using 3:6:13:14 with vectors nohead linewidth 0.7 linecolor rgb '#a0a0a0', \
         '' using 3:6:4:5:9 with xerrorbars pointtype 0 linewidth 1 linecolor rgb variable, \
         '' using 3:6:7:8:9 with yerrorbars pointtype 0 linewidth 1 linecolor rgb variable, \
         '' using 3:6:10:9 with points pointtype variable pointsize (speed_numbered ? 0.8 : 1.1) linecolor rgb variable, \
         '' using 11:12:2 with labels left boxed textcolor rgb '#202020'
    # Many configs are numbered; their list stands to the right of the frame.
    if (speed_numbered) {
        set lmargin at screen (speed_right + 15) / W
        set rmargin at screen (W - 3.0) / W
        unset border; unset tics; unset grid; unset xlabel; unset ylabel
        set xrange [0:W - 18 - speed_right]
        set yrange [speed_top - speed_bottom : 0]
        plot 'data/speed_loss.tsv' using (8):(10 + row_px * $0):10:9 with points pointtype variable pointsize 0.7 linecolor rgb variable, \
             '' using (38):(10 + row_px * $0):1 with labels right font ',12' textcolor rgb '#606060', \
             '' using (46):(10 + row_px * $0):15 with labels left font ',12' textcolor rgb '#202020'
    }
    unset multiplot
    unset output
    set border; set xtics; set ytics
    load 'plots/style.gp'
}
