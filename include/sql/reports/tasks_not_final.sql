-- PanDA tasks that are not final though they were submitted long ago. Parameters: older_than_h (hours).
select
    t.task_name,
    t.jedi_task_id,
    t.intent,
    t.status,
    t.status_at,
    r.state as request_state,
    r.requester,
    round(extract(epoch from now() - t.created_at) / 3600, 1)::float as age_h
from prodsys.task as t
join prodsys.step as s on s.step_id = t.step_id
join prodsys.request as r on r.request_id = s.request_id
where not t.final and t.created_at < now() - make_interval(hours => %(older_than_h)s)
order by t.created_at, t.task_name
