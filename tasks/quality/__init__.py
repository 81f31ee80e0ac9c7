"""The quality gate: what every run must satisfy before SQL sees it.

``frames`` gathers a run's tables with the columns its identities need, ``rules`` says what is expected of them, ``suites``
puts that to Great Expectations, ``gate`` runs it, ``docs`` publishes the pages.
"""
