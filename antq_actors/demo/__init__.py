"""The lead promotion of Ant's introduction, as an ordinary program on antq_actors.

        leads ──> campaign ──> promotion
    a file    one job      the work
    of leads  per lead     for each

``antq demo`` shows its progress. This code does not print, and uses only the public names of the
package.

``antq demo --web`` opens a shop in its place: shop.py is its application, with a tree; lessons.py,
tree_lessons.py and job_lessons.py are what one may predict there, and do; learn_page.py is their
page in the dashboard, which knows nothing of them.
"""
