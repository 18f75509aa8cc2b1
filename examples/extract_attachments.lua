--- Saves the attachments of messages, under names that cannot leave the folder; a file that is there stays.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"
local clean, say, try = support.clean, support.say, support.try

local o = support.options([[
usage: extract_attachments.lua [options] FILE...

Saves what is attached to the messages in the FILEs ("-": stdin), and prints the path of each. The exit status
is 3 where there is nothing.
  --to FOLDER        where to; default: this one. It must exist
  --list             save nothing: print type, octets and name
  --inline           images that the text shows, too
  --type TYPE...     only of this type: "image/png", or all of "image/*"
  --help
]], math.huge)

if #o == 0 then support.die("which messages? see --help", 2) end

local function message(path)
  if path == "-" then return try(mail.message.parse_source(function() return io.read(65536) end)) end
  return try(mail.message.parse_file(path))
end

local function is_wanted(a)
  if a.cid and a.disposition ~= "attachment" and not o.inline then return false end
  for _, wanted in ipairs(o.type) do
    if a.type == wanted:lower() or wanted:sub(-2) == "/*" and a.type:find(wanted:sub(1, -2):lower(), 1, true) == 1 then
      return true
    end
  end
  return #o.type == 0
end

support.main(function()
  local found = 0
  for _, path in ipairs(o) do
    for _, a in ipairs(message(path):attachments()) do
      if is_wanted(a) then
        found = found + 1
        if o.list then
          say("%-30s %10d  %s", clean(a.type), a.size, clean(a.original_filename or ""))
        else
          say("%s", clean(try(a.save(o.to or "."))))
        end
      end
    end
  end
  return found > 0 and 0 or 3
end)
