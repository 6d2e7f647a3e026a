-- Seeds in use by configuration, and how many of them are used again on purpose. Parameters: campaign (a LIKE pattern).
select
    c.configuration,
    min(v.spec ->> 'tag') as tag,
    count(distinct c.request_id) as requests,
    sum(upper(c.seeds) - lower(c.seeds))::bigint as seeds_claimed,
    coalesce(min(reuse.seeds), 0)::bigint as seeds_reused,
    (max(upper(c.seeds)) - 1)::bigint as highest_seed
from prodsys.seed_claim as c
join prodsys.request as r on r.request_id = c.request_id
join prodsys.request_revision as v on v.request_id = r.request_id and v.revision = r.revision
left join (
    select u.configuration, sum(upper(u.seeds) - lower(u.seeds)) as seeds
    from prodsys.seed_reuse as u
    group by u.configuration
) as reuse on reuse.configuration = c.configuration
where r.campaign like %(campaign)s
group by c.configuration
order by seeds_claimed desc, c.configuration
