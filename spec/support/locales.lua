--- Programs of this tree under locales of a host's that differ from C in all that matters: Turkish letters, a comma in
-- numbers, characters of one octet from 128 on that are letters, blanks and controls.
local child = require "spec.support.child"
local files = require "spec.support.files"

local locales = {}

local shell = files.shell

--- What the program at `path` writes under an environment ("NAME=value …"), with the locale's name as argument.
function locales.output(path, environment, locale)
  return shell(child.lua(environment) .. path .. " " .. child.quote(locale) .. " 2>&1")
end

--- Calls `fn(folder)` with a folder for LOCPATH that has the locale tr_TR (ISO-8859-9), where the system can make it.
function locales.with_turkish(fn)
  local folder = shell("mktemp -d"):gsub("%s+$", "")
  local made = shell(("localedef -i tr_TR -f ISO-8859-9 '%s/tr_TR' 2>&1 && echo made"):format(folder))
  local ok, err = true, nil
  if made:find "made" then ok, err = pcall(fn, folder) end
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(err, 0) end
end

return locales
