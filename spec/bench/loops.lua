-- Each host loop beside its own raw socket: `make bench BENCH=loops`, and what it takes (workload/loops.lua).
arg[#arg + 1] = "loops"
dofile "spec/bench/run.lua"
