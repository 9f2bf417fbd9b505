-- Several messages in one session, one of them aborted: none knows of another.
local conn = open()

for i = 1, 20 do
    send(conn, "<" .. DEVICE .. ">",
         {{"From", "Scan " .. i .. " <" .. DEVICE .. ">"}})
    check_reply(conn, SMFIR_CONTINUE)
    check_changed(conn, "From", "Scan " .. i .. " <" .. RELAY .. ">")
end
mt.mailfrom(conn, "<" .. DEVICE .. ">")
mt.header(conn, "From", "Old <" .. DEVICE .. ">")
mt.header(conn, "Reply-To", "old@inside.example")
mt.abort(conn)
send(conn, "<" .. DEVICE .. ">", {{"From", "New <" .. DEVICE .. ">"}})
check_reply(conn, SMFIR_CONTINUE)
check_changed(conn, "From", "New <" .. RELAY .. ">")
check_added(conn, "Reply-To", DEVICE)
mt.disconnect(conn)
