# Clock, power, temperature and load of the machine, run after run.
load 'plots/style.gp'
load 'data/settings.gp'
panels = clocks_has_clock + clocks_has_power + clocks_has_temperature + clocks_has_load
legend = (label_px < 150 ? 150 : label_px) + 45
W = 860 + legend
panel_h = 130.0
row_px = 20
H = 100 + panels * (panel_h + 18)
H = H < 160 + row_px * n ? 160 + row_px * n : H
left = 95.0
right = W - legend - 15.0
strip_h = 14.0
top = H - 12.0 - strip_h - 8

array has[4] = [clocks_has_clock, clocks_has_power, clocks_has_temperature, clocks_has_load]
array low[4] = [clocks_clock_min, clocks_power_min, clocks_temperature_min, clocks_load_min]
array high[4] = [clocks_clock_max, clocks_power_max, clocks_temperature_max, clocks_load_max]
array ticks[4] = [clocks_clock_ticks, clocks_power_ticks, clocks_temperature_ticks, clocks_load_ticks]
array names[4] = [clocks_of.' clock (MHz)', clocks_of.' power (W)', 'temperature (°C)', 'CPU time (%)']
array colors[4] = [0x0072b2, 0x009e73, 0xd55e00, 0x303030]

# Where a run ends; not of runs so short that their edges would be all that is seen.
edge(from, to) = to - from > clocks_max / 200 ? to : NaN

do for [kind in "svg png"] {
    eval terminal(kind, 'clocks', W, H)
    set multiplot
    set xrange [0:clocks_max]
    set lmargin at screen left / W
    set rmargin at screen right / W
    # The strip of runs.
    set bmargin at screen (H - 12 - strip_h) / H
    set tmargin at screen (H - 12.0) / H
    unset border; unset tics; unset grid
    set yrange [0:1]
    plot 'data/clocks_runs.tsv' using 1:(0):1:2:(0):(1):3 with boxxyerror fillstyle solid 1.0 noborder linecolor rgb variable, \
         '' using (edge($1, $2)):(0):(0):(1) with vectors nohead linewidth 1 linecolor rgb '#ffffff'
    set xtics; set ytics
    load 'plots/style.gp'
    drawn = 0
    do for [p=1:4] {
        if (has[p]) {
            drawn = drawn + 1
            set tmargin at screen (top - (drawn - 1) * (panel_h + 18)) / H
            set bmargin at screen (top - (drawn - 1) * (panel_h + 18) - panel_h) / H
            eval 'set xtics '.clocks_ticks
            eval 'set ytics '.ticks[p]
            if (drawn < panels) { set xtics ('' 0) }
            set xlabel (drawn == panels ? 'time in runs, pauses cut out (s)' : '')
            set ylabel names[p]
            set yrange [low[p]:high[p]]
            mean = 3 * p - 1
            plot 'data/clocks_marks.tsv' using 1:(low[p]):1:2:(low[p]):(high[p]):3 with boxxyerror fillstyle transparent solid 0.25 noborder linecolor rgb variable, \
                 'data/clocks_runs.tsv' using (edge($1, $2)):(low[p]):(0):(high[p] - low[p]) with vectors nohead linewidth 0.6 linecolor rgb '#c0c0c0', \
                 'data/clocks.tsv' using 1:mean+1:mean+2 with filledcurves fillstyle transparent solid 0.3 noborder linecolor rgb colors[p], \
                 '' using 1:mean with lines linewidth 1.3 linecolor rgb colors[p], \
                 '' using 1:(p == 4 ? column(14) : NaN) with lines linewidth 1.3 linecolor rgb 0x0072b2
        }
    }
    # The legend.
    set lmargin at screen (right + 15) / W
    set rmargin at screen (W - 5.0) / W
    set tmargin at screen (H - 12.0) / H
    set bmargin at screen 12.0 / H
    unset border; unset tics; unset grid; unset xlabel; unset ylabel
    set xrange [0:W - right - 20]
    set yrange [H - 24 : 0]
    plot 'data/entries.tsv' using (2):(8 + row_px * ($1 - 1)):(0):(16):(2 + row_px * ($1 - 1)):(14 + row_px * ($1 - 1)):3 with boxxyerror linecolor rgb variable, \
         '' using (24):(8 + row_px * ($1 - 1)):2 with labels left font ',12' textcolor rgb '#202020', \
         'data/clocks_legend.tsv' using (2):(24 + row_px * (n + $1 - 1)):(0):(16):(18 + row_px * (n + $1 - 1)):(30 + row_px * (n + $1 - 1)):3 with boxxyerror fillstyle solid 0.8 linecolor rgb variable, \
         '' using (24):(24 + row_px * (n + $1 - 1)):2 with labels left font ',12' textcolor rgb '#202020'
    unset multiplot
    unset output
    set xtics; set ytics
    load 'plots/style.gp'
}
