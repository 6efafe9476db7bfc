"""Who is in? Rules, saved cohorts and CohortService; not how events are stored or indexed."""
