-- Each host loop beside its own raw socket: `make bench BENCH=loops`, and what it takes (workload/loops.lua).
table.insert(arg, "loops") -- luacheck: ignore
dofile "spec/bench/run.lua"
