//! Bodies in protobuf, as clients in Go send them for the simplest built-in kinds.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use super::status::Status;

/// What a body in protobuf begins with.
const MAGIC: &[u8] = b"k8s\0";

/// The messages that are read, a block each: `number=name:type` a field. A trailing `?` keeps a zero, brackets
/// are lists.
///
/// What is not here, and not empty, is refused: half an object is worse than none.
const MESSAGES: &str = "
ConfigMap 1=metadata:ObjectMeta 2=data:map 3=binaryData:bytes 4=immutable:bool?

Secret 1=metadata:ObjectMeta 2=data:bytes 3=type:str 4=stringData:map 5=immutable:bool?

Namespace 1=metadata:ObjectMeta 2=spec:NamespaceSpec 3=status:NamespaceStatus

NamespaceSpec 1=finalizers:[str]

NamespaceStatus 1=phase:str

ServiceAccount 1=metadata:ObjectMeta 2=secrets:[ObjectReference] 3=imagePullSecrets:[Named]
    4=automountServiceAccountToken:bool?

Lease 1=metadata:ObjectMeta 2=spec:LeaseSpec

LeaseSpec 1=holderIdentity:str? 2=leaseDurationSeconds:int? 3=acquireTime:micro 4=renewTime:micro
    5=leaseTransitions:int? 6=strategy:str 7=preferredHolder:str

Event 1=metadata:ObjectMeta 2=involvedObject:ObjectReference 3=reason:str 4=message:str 5=source:EventSource
    6=firstTimestamp:time 7=lastTimestamp:time 8=count:int 9=type:str 10=eventTime:micro
    11=series:EventSeries 12=action:str 13=related:ObjectReference 14=reportingComponent:str
    15=reportingInstance:str

Role 1=metadata:ObjectMeta 2=rules:[PolicyRule]

ClusterRole 1=metadata:ObjectMeta 2=rules:[PolicyRule]

PolicyRule 1=verbs:[str] 2=apiGroups:[str] 3=resources:[str] 4=resourceNames:[str] 5=nonResourceURLs:[str]

RoleBinding 1=metadata:ObjectMeta 2=subjects:[Subject] 3=roleRef:RoleRef

ClusterRoleBinding 1=metadata:ObjectMeta 2=subjects:[Subject] 3=roleRef:RoleRef

Subject 1=kind:str 2=apiGroup:str 3=name:str 4=namespace:str

RoleRef 1=apiGroup:str 2=kind:str 3=name:str

Job 1=metadata:ObjectMeta 2=spec:JobSpec 3=status:JobStatus

JobSpec 1=parallelism:int? 2=completions:int? 3=activeDeadlineSeconds:int? 4=selector:LabelSelector
    5=manualSelector:bool? 6=template:PodTemplateSpec 7=backoffLimit:int? 8=ttlSecondsAfterFinished:int?
    9=completionMode:str? 10=suspend:bool?

JobStatus 2=startTime:time 3=completionTime:time 4=active:int 5=succeeded:int 6=failed:int

EventSource 1=component:str 2=host:str

EventSeries 1=count:int 2=lastObservedTime:micro

Deployment 1=metadata:ObjectMeta 2=spec:DeploymentSpec 3=status:DeploymentStatus

DeploymentSpec 1=replicas:int? 2=selector:LabelSelector 3=template:PodTemplateSpec
    4=strategy:DeploymentStrategy 5=minReadySeconds:int 6=revisionHistoryLimit:int? 7=paused:bool
    9=progressDeadlineSeconds:int?

DeploymentStrategy 1=type:str 2=rollingUpdate:RollingUpdate

RollingUpdate 1=maxUnavailable:IntOrString 2=maxSurge:IntOrString

DeploymentStatus 1=observedGeneration:int 2=replicas:int 3=updatedReplicas:int 4=availableReplicas:int
    5=unavailableReplicas:int 6=conditions:[DeploymentCondition] 7=readyReplicas:int 8=collisionCount:int?
    9=terminatingReplicas:int?

DeploymentCondition 1=type:str 2=status:str 4=reason:str 5=message:str 6=lastUpdateTime:time
    7=lastTransitionTime:time

Pod 1=metadata:ObjectMeta 2=spec:PodSpec 3=status:PodStatus

PodStatus 1=phase:str 2=conditions:[PodCondition] 3=message:str 4=reason:str 5=hostIP:str 6=podIP:str
    7=startTime:time 9=qosClass:str 11=nominatedNodeName:str 12=podIPs:[Address] 16=hostIPs:[Address]
    17=observedGeneration:int

PodCondition 1=type:str 2=status:str 3=lastProbeTime:time 4=lastTransitionTime:time 5=reason:str
    6=message:str 7=observedGeneration:int

Address 1=ip:str

PodTemplateSpec 1=metadata:ObjectMeta 2=spec:PodSpec

PodSpec 2=containers:[Container] 3=restartPolicy:str 4=terminationGracePeriodSeconds:int?
    5=activeDeadlineSeconds:int? 6=dnsPolicy:str 7=nodeSelector:map 8=serviceAccountName:str
    9=serviceAccount:str 10=nodeName:str 11=hostNetwork:bool 12=hostPID:bool 13=hostIPC:bool
    14=securityContext:Empty 15=imagePullSecrets:[Named] 16=hostname:str 17=subdomain:str
    19=schedulerName:str 20=initContainers:[Container] 21=automountServiceAccountToken:bool?
    22=tolerations:[Toleration] 24=priorityClassName:str 25=priority:int? 30=enableServiceLinks:bool?
    31=preemptionPolicy:str?

Container 1=name:str 2=image:str 3=command:[str] 4=args:[str] 5=workingDir:str 6=ports:[ContainerPort]
    7=env:[EnvVar] 8=resources:Empty 13=terminationMessagePath:str 14=imagePullPolicy:str 16=stdin:bool
    17=stdinOnce:bool 18=tty:bool 20=terminationMessagePolicy:str

Toleration 1=key:str 2=operator:str 3=value:str 4=effect:str 5=tolerationSeconds:int?

ContainerPort 1=name:str 2=hostPort:int 3=containerPort:int 4=protocol:str 5=hostIP:str

EnvVar 1=name:str 2=value:str

Service 1=metadata:ObjectMeta 2=spec:ServiceSpec 3=status:ServiceStatus

ServiceSpec 1=ports:[ServicePort] 2=selector:map 3=clusterIP:str 4=type:str 5=externalIPs:[str]
    7=sessionAffinity:str 8=loadBalancerIP:str 9=loadBalancerSourceRanges:[str] 10=externalName:str
    11=externalTrafficPolicy:str 12=healthCheckNodePort:int 13=publishNotReadyAddresses:bool

ServicePort 1=name:str 2=protocol:str 3=port:int 4=targetPort:IntOrString 5=nodePort:int

ServiceStatus 1=loadBalancer:Empty

ObjectMeta 1=name:str 2=generateName:str 3=namespace:str 4=selfLink:str 5=uid:str 6=resourceVersion:str
    7=generation:int 8=creationTimestamp:time 9=deletionTimestamp:time 10=deletionGracePeriodSeconds:int?
    11=labels:map 12=annotations:map 13=ownerReferences:[OwnerReference] 14=finalizers:[str]
    17=managedFields:ignored

OwnerReference 1=kind:str 3=name:str 4=uid:str 5=apiVersion:str 6=controller:bool?
    7=blockOwnerDeletion:bool?

ObjectReference 1=kind:str 2=namespace:str 3=name:str 4=uid:str 5=apiVersion:str 6=resourceVersion:str
    7=fieldPath:str

LabelSelector 1=matchLabels:map 2=matchExpressions:[LabelSelectorRequirement]

LabelSelectorRequirement 1=key:str 2=operator:str 3=values:[str]

Named 1=name:str

Empty

DeleteOptions 1=gracePeriodSeconds:int? 2=preconditions:Preconditions 3=orphanDependents:bool?
    4=propagationPolicy:str 5=dryRun:[str]

Preconditions 1=uid:str? 2=resourceVersion:str?

TypeMeta 1=apiVersion:str 2=kind:str

IntOrString 1=kind:int 2=number:int 3=text:str
";

/// A field as it stands on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reads an object of a kind in the table.
///
/// # Errors
/// 415 of other kinds, and of fields that are not in the table; 400 of what does not parse.
pub(crate) fn decode(body: &[u8]) -> Result<Value, Status> {
    let Some(mut envelope) = body.strip_prefix(MAGIC) else { return Err(broken()) };
    let (mut head, mut raw): (Value, &[u8]) = (Value::Null, &[]);
    while let Some((number, wire)) = field(&mut envelope)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => head = message("TypeMeta", bytes)?,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let kind = head["kind"].as_str().unwrap_or_default();
    if kind == "Event" && head["apiVersion"] != "v1" {
        // The one kind in the table whose name another group has too.
        return Err(unknown("Event of events.k8s.io"));
    }
    let mut object = message(kind, raw)?;
    object["apiVersion"] = head["apiVersion"].clone();
    object["kind"] = json!(kind);
    Ok(object)
}

fn message(name: &str, mut bytes: &[u8]) -> Result<Value, Status> {
    let mut blocks = MESSAGES.split("\n\n").map(str::split_whitespace);
    let known = blocks.find_map(|mut words| (words.next() == Some(name)).then_some(words));
    let Some(fields) = known else { return Err(unknown(name)) };
    let mut object = Map::new();
    while let Some((number, wire)) = field(&mut bytes)? {
        let prefix = format!("{number}=");
        let found = fields.clone().find_map(|field| field.strip_prefix(&prefix)?.split_once(':'));
        match (found, &wire) {
            (Some((_, "ignored")), _) | (None, Wire::Number(0) | Wire::Bytes([])) => {}
            (Some((member, kind)), _) => put(&mut object, member, kind, &wire)?,
            (None, _) => return Err(unknown(&format!("{name}, field {number}"))),
        }
    }
    Ok(Value::Object(object))
}

fn put(object: &mut Map<String, Value>, member: &str, kind: &str, wire: &Wire<'_>) -> Result<(), Status> {
    let keeps_zero = kind.ends_with('?');
    let list = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']'));
    let value = match (list.unwrap_or(kind).trim_end_matches('?'), wire) {
        // Whole numbers are sent as 64 bits in two's complement.
        ("int", Wire::Number(number)) if *number != 0 || keeps_zero => json!(number.cast_signed()),
        ("bool", Wire::Number(number)) if *number != 0 || keeps_zero => json!(*number != 0),
        ("int" | "bool", Wire::Number(_)) => return Ok(()),
        ("str", Wire::Bytes(bytes)) if bytes.is_empty() && !keeps_zero && list.is_none() => return Ok(()),
        ("str", Wire::Bytes(bytes)) => json!(text(bytes)?),
        ("time" | "micro", Wire::Bytes(bytes)) => match time(bytes, kind == "micro")? {
            Some(time) => json!(time),
            None => return Ok(()),
        },
        ("map" | "bytes", Wire::Bytes(entry)) => {
            let (key, value) = map_entry(entry, kind == "bytes")?;
            let map = object.entry(member).or_insert_with(|| json!({}));
            map[key] = value;
            return Ok(());
        }
        ("IntOrString", Wire::Bytes(bytes)) => {
            let value = message("IntOrString", bytes)?;
            if value["kind"] == json!(1) {
                value["text"].clone()
            } else {
                json!(value["number"].as_i64().unwrap_or(0))
            }
        }
        (kind, Wire::Bytes(bytes)) => message(kind, bytes)?,
        _ => return Err(broken()),
    };
    match (list, object.get_mut(member)) {
        (None, _) => drop(object.insert(member.to_owned(), value)),
        (Some(_), Some(Value::Array(items))) => items.push(value),
        (Some(_), _) => drop(object.insert(member.to_owned(), json!([value]))),
    }
    Ok(())
}

fn map_entry(mut entry: &[u8], is_binary: bool) -> Result<(String, Value), Status> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    while let Some((number, wire)) = field(&mut entry)? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => return Err(broken()),
        }
    }
    let value = if is_binary { json!(ByteString(value.to_vec())) } else { json!(text(value)?) };
    Ok((text(key)?, value))
}

fn time(mut bytes: &[u8], is_micro: bool) -> Result<Option<String>, Status> {
    let (mut seconds, mut nanos) = (0, 0);
    while let Some((number, wire)) = field(&mut bytes)? {
        match (number, wire) {
            (1, Wire::Number(number)) => seconds = number.cast_signed(),
            (2, Wire::Number(number)) => nanos = i32::try_from(number).map_err(|_| broken())?,
            _ => return Err(broken()),
        }
    }
    if seconds == 0 && nanos == 0 {
        return Ok(None);
    }
    let time = Timestamp::new(seconds, if is_micro { nanos } else { 0 }).map_err(|_| broken())?;
    Ok(Some(if is_micro { format!("{time:.6}") } else { time.to_string() }))
}

/// Takes the next field off a message.
fn field<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u64, Wire<'a>)>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let tag = varint(bytes)?;
    let wire = match tag & 7 {
        0 => Wire::Number(varint(bytes)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|_| broken())?;
            let (head, rest) = bytes.split_at_checked(length).ok_or_else(broken)?;
            *bytes = rest;
            Wire::Bytes(head)
        }
        _ => return Err(broken()),
    };
    Ok(Some((tag >> 3, wire)))
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Status> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(broken)?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(broken())
}

fn text(bytes: &[u8]) -> Result<String, Status> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken())
}

fn broken() -> Status {
    Status::bad_request("the object provided is unrecognized: its protobuf does not parse")
}

fn unknown(what: &str) -> Status {
    Status::unsupported_media_type(format!(
        "the embedded API server of nah-testing does not read {what:?} in protobuf: send application/json"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        field.extend_from_slice(content);
        field
    }

    fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
        let head = [bytes(1, b"v1"), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &head), bytes(2, raw)].concat()
    }

    #[test]
    fn an_object_in_protobuf_is_read() {
        let metadata =
            [bytes(1, b"a"), bytes(3, b""), bytes(8, b""), vec![7 << 3, 0], bytes(14, b"x/y")].concat();
        let data = [bytes(1, b"k"), bytes(2, b"v")].concat();
        let raw = [bytes(1, &metadata), bytes(2, &data), bytes(3, &data), vec![4 << 3, 0]].concat();
        let expected = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": ["x/y"]},
            "data": {"k": "v"}, "binaryData": {"k": "dg=="}, "immutable": false,
        });
        assert_eq!(decode(&envelope("ConfigMap", &raw)).unwrap(), expected);
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        assert_eq!(decode(&envelope("Node", &[])).unwrap_err().code, 415);
        assert_eq!(decode(&envelope("ConfigMap", &bytes(9, b"x"))).unwrap_err().code, 415);
        assert!(decode(&envelope("ConfigMap", &bytes(9, b""))).is_ok());
        for broken in [&b"{}"[..], b"k8s\0\x0a\x7f", b"k8s\0\x80"] {
            assert_eq!(decode(broken).unwrap_err().code, 400);
        }
    }
}
