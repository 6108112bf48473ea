"""The lead promotion of Ant's introduction, as an ordinary program on antq_actors.

    leads ──> campaign ──> promotion
    a file    one job      what is done
    of leads  a lead       for each

``antq demo`` shows it while it runs. Nothing here prints, and nothing uses more than the public
names of the package.
"""
