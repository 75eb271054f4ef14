from nextclick.extras import missing

if lacking := missing("server"):
    raise SystemExit(lacking)
