-- Requests by state, with what they ask for and what is delivered. Parameters: campaign (a LIKE pattern).
select
    r.state,
    count(*) as requests,
    sum((v.spec ->> 'events')::bigint) as events_asked,
    coalesce(sum(last_step.events), 0)::bigint as events_delivered,
    min(r.changed_at) as oldest_change
from prodsys.request as r
join prodsys.request_revision as v on v.request_id = r.request_id and v.revision = r.revision
left join lateral (
    select s.events
    from prodsys.step as s
    where s.request_id = r.request_id and s.revision = r.revision and s.settled_at is not null
    order by s.ordinal desc
    limit 1
) as last_step on true
where r.campaign like %(campaign)s
group by r.state
order by r.state
