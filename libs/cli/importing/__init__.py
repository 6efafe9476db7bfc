"""How does a file get in? Read it, map its columns, type its values, send it, and say what was rejected.

`table` says what a source of rows is; `csv_file`, `parquet_file` and `json_file` are the sources, `forms` the
JSON lines that need no mapping; `mapping` and `kinds` decide what columns mean, `times` what instants;
`encode` makes requests of rows, `sender` sends them, `report` tells, and `command` puts it all together.
"""
