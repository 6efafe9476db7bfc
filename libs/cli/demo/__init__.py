"""What can Cohort do, in two minutes on real data? `python -m libs.cli.demo [--keep]`, or `make demo`.

`dataset` brings The Complete Journey, `server` an embedded server, `receiver` a webhook to sync to, `cohorts`
three rules worth asking, and `story` what happens with them.
"""
