-- An output handler for busted: each failure in full; the counts, and each reason for a skip once, in the file that
-- LM_REPORT names: three numbers, then lines "N REASON". Without LM_REPORT the reader gets them, file by file. The
-- report is the machine's side: busted's exit status is the number of failures modulo 256, and a run that dies
-- halfway leaves no counts at all.

return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local report = os.getenv "LM_REPORT"
  local per_file, reasons, reason_order = nil, {}, {}

  local function say(...) io.write(string.format(...), "\n") io.flush() end

  local function text(message)
    if type(message) == "string" then return message end
    if message == nil then return "nil error" end
    return require "pl.pretty".write(message)
  end

  local function where(failure)
    local trace = failure.element.trace or failure.trace
    if not trace or not trace.short_src then return "" end
    return string.format("%s:%s: ", trace.short_src, tostring(trace.currentline))
  end

  local function failed(element, parent, message, debug)
    local failure = handler.format(element, parent, message, debug)
    say("FAILED  %s%s\n        %s", where(failure), failure.name, (text(message):gsub("\n", "\n        ")))
    local trace = debug and debug.traceback
    if options.verbose and trace then say("%s", trace) end
    return nil, true
  end

  local function skipped(element, _, message)
    local reason = message and text(message) or "no reason given: " .. handler.getFullName(element)
    if not reasons[reason] then reasons[reason] = 0 reason_order[#reason_order + 1] = reason end
    reasons[reason] = reasons[reason] + 1
    return nil, true
  end

  local function file_start(file)
    per_file = { name = file.name, clock = os.time(), success = 0, pending = 0, failure = 0, error = 0 }
    return nil, true
  end

  local function file_end()
    local f = per_file
    if report then return nil, true end
    say("  %-44s %4d passed%s%s", f.name, f.success,
      f.failure + f.error > 0 and string.format(", %d failed", f.failure + f.error) or "",
      f.pending > 0 and string.format(", %d skipped", f.pending) or "")
    return nil, true
  end

  local function test_end(_, _, status)
    if per_file then per_file[status] = per_file[status] + 1 end
    return nil, true
  end

  local function suite_end()
    local lines = { ("%d %d %d\n"):format(handler.successesCount, handler.failuresCount + handler.errorsCount,
      handler.pendingsCount) }
    for _, reason in ipairs(reason_order) do
      if not report then say("  skipped %d: %s", reasons[reason], reason) end
      lines[#lines + 1] = ("%d %s\n"):format(reasons[reason], (reason:gsub("%s+", " ")))
    end
    if report then
      local out = assert(io.open(report, "w"))
      out:write(table.concat(lines))
      out:close()
    end
    return nil, true
  end

  busted.subscribe({ "file", "start" }, file_start)
  busted.subscribe({ "file", "end" }, file_end)
  busted.subscribe({ "test", "end" }, test_end)
  busted.subscribe({ "failure" }, failed)
  busted.subscribe({ "error" }, failed)
  busted.subscribe({ "pending" }, skipped)
  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
